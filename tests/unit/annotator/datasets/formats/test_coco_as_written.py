"""COCO files as programs write them: ids, names of categories, trees, and boxes that contradict their outlines."""

import json
import unicodedata

import pytest

from annotator.datasets.decode import open_entries
from annotator.datasets.formats.supported import read_layout
from annotator.errors import DataUnreadable
from db.records import Split
from tests.accounts import assert_adds_up
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text

OUTLINE = [[8, 6, 24, 6, 24, 18, 8, 18.5]]
"""Around FIRST, and no rectangle."""
CATEGORIES = [{"id": 1, "name": "benign"}, {"id": 2, "name": "malignant"}]


def annotation(**changes):
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": list(FIRST)} | changes


def write(
    root, *annotations, images=({"id": 1, "file_name": "a.png"},), categories=CATEGORIES, name="annotations.json"
):
    document = {"images": list(images), "annotations": list(annotations), "categories": list(categories)}
    text(root, name, json.dumps(document))


@pytest.fixture
def root(tmp_path):
    picture(tmp_path, "a.png")
    return tmp_path


def test_of_two_categories_with_one_id_nobody_knows_which(root):
    picture(root, "b.png", 1)
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    twice = [{"id": 1, "name": "benign"}, {"id": 1, "name": "malignant"}, {"id": 3, "name": "normal"}]
    write(root, annotation(), annotation(id=2, image_id=2, category_id=3), images=images, categories=twice)
    opened, refused, _ = found(root, "coco")
    assert opened == {"b.png": ("normal", None, [FIRST])}
    assert refused == {"a.png": "several categories have the id 1: benign, malignant"}
    write(root, annotation(), categories=[CATEGORIES[0], dict(CATEGORIES[0])])
    assert found(root, "coco")[0] == {"a.png": ("benign", None, [FIRST])}


@pytest.mark.parametrize("name", [None, ["malignant"], {"en": "benign"}, "", "  ", True])
def test_a_name_that_is_none_is_no_class(root, name):
    write(root, annotation(), categories=[{"id": 1, "name": name}])
    opened, refused, _ = found(root, "coco")
    assert opened == {}
    assert "category 1 has no name" in refused["a.png"]


@pytest.mark.parametrize(("name", "cls"), [(" benign ", "benign"), (3, "3"), ("no", "no"), ("None", "None")])
def test_a_name_is_taken_without_the_blanks_around_it(root, name, cls):
    write(root, annotation(), categories=[{"id": 1, "name": name}])
    assert found(root, "coco")[0] == {"a.png": (cls, None, [FIRST])}


@pytest.mark.parametrize(
    ("image_id", "said", "category_id"), [(1, "1", 1), ("1", 1, "1"), (1.0, 1, 1), (1, 1.0, " 1"), ("01", "01", 1)]
)
def test_numbers_as_text_are_the_ids_that_they_say(root, image_id, said, category_id):
    write(root, annotation(image_id=said, category_id=category_id), images=[{"id": image_id, "file_name": "a.png"}])
    assert found(root, "coco")[0] == {"a.png": ("benign", None, [FIRST])}


def test_an_id_that_is_there_in_both_spellings_is_taken_as_it_stands(root):
    picture(root, "b.png", 1)
    images = [{"id": 1, "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    write(root, annotation(), annotation(id=2, image_id="1", category_id=2, bbox=SECOND), images=images)
    opened, _, _ = found(root, "coco")
    assert opened == {"a.png": ("benign", None, [FIRST]), "b.png": ("malignant", None, [SECOND])}


def test_an_annotation_that_names_no_image_belongs_to_none(root):
    nameless = {"id": 7, "category_id": 1, "bbox": list(FIRST)}
    write(root, nameless, images=[{"file_name": "a.png"}])
    opened, refused, said = found(root, "coco")
    assert (opened, refused) == ({"a.png": (None, None, None)}, {})
    assert any("annotation 7" in line and "does not say which image" in line for line in said)


@pytest.mark.parametrize(
    "twin",
    [
        {"bbox": [8.0, 6.0, 16.0, 12.0]},
        {"segmentation": []},
        {"segmentation": [[8, 6, 24, 6, 24, 18, 8, 18]]},
        {"iscrowd": 0, "area": 192.0},
    ],
)
def test_twins_in_another_spelling_count_once(root, twin):
    write(root, annotation(), annotation(id=2, **twin))
    opened, _, said = found(root, "coco")
    assert opened["a.png"][2] == [FIRST]
    assert any("repeats an earlier one" in line for line in said)


@pytest.mark.parametrize("order", [1, -1])
def test_of_twins_the_one_with_an_outline_stays(root, order):
    both = [annotation(), annotation(id=2, segmentation=OUTLINE)][::order]
    write(root, *both)
    listing = read_layout("coco", root)
    assert found(root, "coco")[0]["a.png"][2] == [FIRST]
    assert listing.entries[0].draw(64, 48).mask_HW is not None


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [0.0, 0.0, 0.0, 0.0], [], None])
def test_a_box_that_was_not_worked_out_is_that_of_its_outline(root, bbox):
    write(root, annotation(bbox=bbox, segmentation=[[8, 6, 24, 6, 24, 18, 8, 18]]))
    opened, refused, _ = found(root, "coco")
    assert (opened["a.png"][2], refused) == ([FIRST], {})


def test_corners_for_a_box_are_named_where_the_outline_shows_it(root):
    write(root, annotation(bbox=[8, 6, 24, 18], segmentation=OUTLINE))
    assert "left, top, right, bottom" in found(root, "coco")[1]["a.png"]


def test_a_box_apart_from_its_outline_is_refused_and_a_wider_one_is_not(root):
    write(root, annotation(bbox=[40, 30, 10, 10], segmentation=OUTLINE))
    assert "do not match" in found(root, "coco")[1]["a.png"]
    write(root, annotation(bbox=[4, 2, 26, 22], segmentation=OUTLINE))
    assert found(root, "coco")[0]["a.png"][2] == [(4, 2, 26, 22)]


def test_a_box_within_its_outline_is_kept_and_said(root):
    write(root, annotation(bbox=[12, 9, 6, 5], segmentation=OUTLINE))
    opened, refused, _ = found(root, "coco")
    assert (opened["a.png"][2], refused) == ([(12, 9, 6, 5)], {})
    listing = read_layout("coco", root)
    assert listing.entries[0].draw(64, 48).mask_HW.sum() > 150
    assert listing.remarks() == [
        "a.png: a bbox is less than half the size of the area that its segmentation spans; both were kept as they are"
    ]


def test_a_rectangle_beside_an_outline_is_one_too_and_alone_is_a_box(root):
    triangle = {"bbox": [8, 6, 16, 12], "segmentation": [[8, 6, 24, 6, 24, 18]]}
    square = {"id": 2, "bbox": [30, 20, 10, 10], "segmentation": [[30, 20, 40, 20, 40, 30, 30, 30]]}
    write(root, annotation(**triangle), annotation(**square))
    listing = read_layout("coco", root)
    assert_adds_up(listing)
    mask = listing.entries[0].draw(64, 48).mask_HW
    assert mask[20:30, 30:40].all()
    assert mask[:20].sum() == pytest.approx(96, abs=10)
    assert (listing.entries[0].masks, listing.remarks()) == (2, [])
    write(root, annotation(**square))
    (alone,) = read_layout("coco", root).entries
    assert (alone.draw(64, 48).mask_HW, alone.masks) == (None, 0)


@pytest.mark.parametrize("nothing", [[[]], [], None, [[], []]])
def test_an_empty_segmentation_says_nothing(root, nothing):
    write(root, annotation(segmentation=nothing))
    assert found(root, "coco")[:2] == ({"a.png": ("benign", None, [FIRST])}, {})


def test_other_json_files_beside_the_coco_file_are_passed_over(root):
    write(root, annotation(), name="result.json")
    text(root, "notes.json", json.dumps({"categories": []}))
    text(root, "package.json", "[]")
    assert found(root, "coco")[0] == {"a.png": ("benign", None, [FIRST])}
    write(root, annotation(), name="second.json")
    with pytest.raises(DataUnreadable, match="name the file itself"):
        read_layout("coco", root)


def test_a_box_too_thin_to_hold_anything_is_refused(root):
    write(root, annotation(bbox=[8, 6, 1e-17, 12]))
    assert "too thin" in found(root, "coco")[1]["a.png"]


def test_a_box_beyond_the_edge_is_cut_and_said(root):
    write(root, annotation(bbox=[56, 6, 12, 12], segmentation=[[56, 6, 68, 6, 68, 18, 56, 17.5]]))
    listing = read_layout("coco", root)
    (opened,) = open_entries(listing.entries, note=listing.note)
    assert [(box.x, box.y, box.width, box.height) for box in opened[0].location.boxes] == [(56, 6, 8, 12)]
    assert listing.remarks() == ["a.png: a shape reaches beyond the edge of the image; what lies outside was cut off"]


def test_shares_of_the_sides_are_no_pixels(root):
    write(root, annotation(bbox=[0.125, 0.125, 0.25, 0.25]))
    assert "looks like fractions" in found(root, "coco")[1]["a.png"]


@pytest.mark.parametrize(
    ("listing", "file", "name"),
    [
        ("annotations/instances_train2017.json", "train2017/1.png", "1.png"),
        ("annotations/instances_Train.json", "images/Train/1.png", "1.png"),
        ("annotations/instances_default.json", "images/default/s/1.png", "s/1.png"),
        ("annotations.json", "pictures/1.png", "1.png"),
        ("train/_annotations.coco.json", "train/1.png", "1.png"),
    ],
)
def test_images_are_found_where_programs_put_them(tmp_path, listing, file, name):
    picture(tmp_path, file)
    write(tmp_path, annotation(), images=[{"id": 1, "file_name": name}], name=listing)
    opened, refused, _ = found(tmp_path, "coco", path=tmp_path / listing)
    assert ({name: (said[0], said[2]) for name, said in opened.items()}, refused) == ({name: ("benign", [FIRST])}, {})


@pytest.mark.parametrize(
    ("listing", "file", "split"),
    [
        ("train/_annotations.coco.json", "train/1.png", Split.TRAIN),
        ("valid/_annotations.coco.json", "valid/1.png", Split.VAL),
        ("annotations/instances_val2017.json", "val2017/1.png", Split.VAL),
        ("annotations/instances_Test.json", "images/Test/1.png", Split.TEST),
        ("annotations/instances_default.json", "images/default/1.png", None),
        ("test.json", "1.png", None),
        ("test/annotations.json", "test/1.png", None),
        ("annotations/contest.json", "images/1.png", None),
    ],
)
def test_a_file_of_one_split_says_so_by_where_it_lies(tmp_path, listing, file, split):
    picture(tmp_path, file)
    for other in ("train", "test") if "/_annotations" in listing else ():
        (tmp_path / other).mkdir(exist_ok=True)
    write(tmp_path, annotation(), images=[{"id": 1, "file_name": "1.png"}], name=listing)
    opened, refused, said = found(tmp_path, "coco", path=tmp_path / listing)
    assert (opened, refused) == ({"1.png": ("benign", split, [FIRST])}, {})
    assert any(f"was taken as the {split} split" in line for line in said) == (split is not None)


def test_images_in_two_folders_are_all_found(tmp_path):
    for n, name in enumerate(("images/a.png", "images/b.png", "c.png")):
        picture(tmp_path, name, n)
    images = [{"id": n, "file_name": f"{letter}.png"} for n, letter in enumerate("abc")]
    write(tmp_path, annotation(image_id=2), images=images)
    opened, refused, _ = found(tmp_path, "coco")
    assert (set(opened), refused) == ({"a.png", "b.png", "c.png"}, {})


def test_a_mask_that_is_called_like_a_missing_image_is_not_taken_for_it(tmp_path):
    picture(tmp_path, "masks/a.png")
    picture(tmp_path, "b.png", 1)
    write(tmp_path, annotation(), images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}])
    opened, refused, _ = found(tmp_path, "coco")
    assert set(opened) == {"b.png"}
    assert "no such image" in refused["a.png"]
    assert "--images DIR" in refused["a.png"]


def test_of_two_files_of_one_name_none_is_guessed(tmp_path):
    for n, name in enumerate(("s1/a.png", "s2/a.png", "b.png")):
        picture(tmp_path, name, n)
    write(tmp_path, annotation(), images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}])
    opened, refused, _ = found(tmp_path, "coco")
    assert (set(opened), set(refused)) == ({"b.png"}, {"a.png"})


@pytest.mark.parametrize(("listed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_letter_with_an_accent_is_the_same_in_both_of_unicodes_forms(tmp_path, listed, there):
    picture(tmp_path, f"{unicodedata.normalize(there, 'é')}.png")
    name = f"{unicodedata.normalize(listed, 'é')}.png"
    write(tmp_path, annotation(), images=[{"id": 1, "file_name": name}])
    assert found(tmp_path, "coco")[0] == {name: ("benign", None, [FIRST])}


def test_names_from_an_address_and_absolute_ones_inside_the_folder_are_found(tmp_path):
    picture(tmp_path, "a b.png")
    picture(tmp_path, "images/c.png", 1)
    images = [{"id": 1, "file_name": "a%20b.png"}, {"id": 2, "file_name": str(tmp_path / "images" / "c.png")}]
    write(tmp_path, annotation(), images=images)
    opened, refused, _ = found(tmp_path, "coco")
    assert (set(opened), refused) == ({"a%20b.png", str(tmp_path / "images" / "c.png")}, {})


def test_an_absolute_name_that_leads_out_by_dots_is_refused(tmp_path):
    picture(tmp_path, "outside.png")
    picture(tmp_path, "set/a.png", 1)
    images = [{"id": 1, "file_name": f"{tmp_path}/set/../outside.png"}, {"id": 2, "file_name": "a.png"}]
    write(tmp_path / "set", annotation(image_id=2), images=images)
    opened, refused, _ = found(tmp_path / "set", "coco")
    assert set(opened) == {"a.png"}
    assert "outside the data set's folder" in next(iter(refused.values()))


@pytest.mark.parametrize(
    ("degrees", "box"), [(90, (10, 4, 12, 16)), (0, FIRST), (180, FIRST), ("x", FIRST), (None, FIRST)]
)
def test_a_box_that_cvat_turned_is_the_one_around_it(root, degrees, box):
    write(root, annotation(attributes={"rotation": degrees, "occluded": False}))
    assert found(root, "coco")[0]["a.png"][2] == [box]
