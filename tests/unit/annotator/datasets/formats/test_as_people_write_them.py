"""Data sets as programs and people write them: each rebuilt small after a report; nothing silently wrong or lost."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.decode import open_entries
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.listing.entries import Refusal
from annotator.errors import DataUnreadable
from db.records import Split
from tests.accounts import assert_adds_up

FIRST, SECOND = (8.0, 6.0, 16.0, 12.0), (30.0, 20.0, 20.0, 20.0)


def picture(root, name, seed=0):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 64), dtype=np.uint8)).save(path)


def text(root, name, content, encoding="utf-8"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))


def voc(box=FIRST, cls="benign", filename="", size=("64", "48"), origin=1, owner="", boxes=1):
    x, y, w, h = box
    edges = (x + 1, y + 1, x + w, y + h) if origin else (x, y, x + w, y + h)
    tags = "".join(
        f"<{tag}>{edge:g}</{tag}>" for tag, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True)
    )
    return (
        f"<annotation><filename>{filename}</filename><owner><name>{owner}</name></owner>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>{cls}</name>{f'<bndbox>{tags}</bndbox>' * boxes}</object></annotation>"
    )


def yolo(box=FIRST, cls=0):
    x, y, w, h = box
    return f"{cls} {(x + w / 2) / 64} {(y + h / 2) / 48} {w / 64} {h / 48}\n"


def found(root, layout, path=None, **options):
    """The images by name with class, split and boxes; the refusals by name; the warnings."""
    listing = read_layout(layout, path or root, **options)
    assert_adds_up(listing)
    opened = {}
    refused = {refusal.file: refusal.reason for refusal in listing.refusals}
    for entry, images in zip(listing.entries, open_entries(listing.entries), strict=True):
        if isinstance(images, Refusal):
            refused[entry.name] = images.reason
            continue
        location = images[0].location
        boxes = (
            [tuple(round(v, 3) for v in (b.x, b.y, b.width, b.height)) for b in location.boxes] if location else None
        )
        opened[entry.name] = (entry.class_name, entry.split, boxes)
    return opened, refused, listing.remarks()


def test_voc_files_belong_together_by_folder_not_by_their_bare_name(tmp_path):
    for n, patient in enumerate(("p1", "p2", "p3")):
        picture(tmp_path, f"{patient}/1.png", n)
    text(tmp_path, "p1/1.xml", voc(FIRST, "benign"))
    text(tmp_path, "p2/1.xml", voc(SECOND, "malignant"))
    opened, refused, _ = found(tmp_path, "voc")
    assert opened == {
        "p1/1.png": ("benign", None, [FIRST]),
        "p2/1.png": ("malignant", None, [SECOND]),
        "p3/1.png": (None, None, None),
    }
    assert refused == {}


def test_voc_with_the_same_folders_below_images_and_annotations_and_their_splits(tmp_path):
    for n, (part, box) in enumerate((("s1", FIRST), ("s2", SECOND))):
        picture(tmp_path, f"JPEGImages/{part}/1.png", n)
        text(tmp_path, f"Annotations/{part}/1.xml", voc(box, filename=f"{part}/1.png"))
    text(tmp_path, "ImageSets/Main/train.txt", "s1/1\n")
    text(tmp_path, "ImageSets/Main/test.txt", "s2/1\nnobody\n")
    opened, _, warnings = found(tmp_path, "voc")
    assert opened["JPEGImages/s1/1.png"] == ("benign", Split.TRAIN, [FIRST])
    assert opened["JPEGImages/s2/1.png"] == ("benign", Split.TEST, [SECOND])
    assert any("nobody" in warning for warning in warnings)


def test_voc_two_annotations_of_one_image_are_refused_with_both_names(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    text(tmp_path, "Annotations/a.xml", voc(FIRST))
    text(tmp_path, "xml/a.xml", voc(SECOND))
    _, refused, _ = found(tmp_path, "voc")
    assert "Annotations/a.xml, xml/a.xml" in refused["JPEGImages/a.png"]


def test_voc_an_annotation_that_names_another_image_is_refused(tmp_path):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{name}.png", n)
    text(tmp_path, "b.xml", voc(FIRST, filename="a.png"))
    opened, refused, _ = found(tmp_path, "voc")
    assert "says that it belongs to a.png" in refused["b.png"]
    assert opened == {"a.png": (None, None, None)}
    # Files that were copied keep the name of the first: with an annotation each, their own names count.
    text(tmp_path, "a.xml", voc(SECOND, filename="a.png"))
    opened, refused, warnings = found(tmp_path, "voc")
    assert (opened["b.png"][2], refused, len(warnings)) == ([FIRST], {}, 1)


def test_voc_what_was_not_used_is_named(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    picture(tmp_path, "JPEGImages/upper.JPG", 1)
    picture(tmp_path, "AnnotationsVisualization/a.png", 2)
    picture(tmp_path, "elsewhere/b.png", 3)
    text(tmp_path, "Annotations/nobody.xml", voc())
    text(tmp_path, "Annotations/upper.XML", voc())
    opened, _, warnings = found(tmp_path, "voc")
    assert opened == {"JPEGImages/a.png": (None, None, None), "JPEGImages/upper.JPG": ("benign", None, [FIRST])}
    for name in ("Annotations/nobody.xml", "AnnotationsVisualization/a.png", "elsewhere/b.png"):
        assert any(name in warning for warning in warnings), name


@pytest.mark.parametrize("size", [("64.0", "48.0"), ("\n 64", " 48 "), ("0", "0")])
def test_voc_sizes_are_numbers(tmp_path, size):
    picture(tmp_path, "a.png")
    text(tmp_path, "a.xml", voc(size=size))
    assert found(tmp_path, "voc")[0]["a.png"][2] == [FIRST]


def test_voc_that_counts_from_zero_is_read_so_and_said_aloud(tmp_path):
    picture(tmp_path, "a.png")
    text(tmp_path, "a.xml", voc(FIRST, origin=0, owner="Label Studio"))
    opened, _, warnings = found(tmp_path, "voc")
    assert (opened["a.png"][2], "Label Studio" in warnings[0]) == ([FIRST], True)
    text(tmp_path, "a.xml", voc((0.0, 6.0, 24.0, 12.0), origin=0))
    opened, _, warnings = found(tmp_path, "voc")
    assert (opened["a.png"][2], "--origin 1" in warnings[0]) == ([(0.0, 6.0, 24.0, 12.0)], True)
    text(tmp_path, "a.xml", voc(FIRST, origin=0))
    assert found(tmp_path, "voc", first_pixel=0)[0]["a.png"][2] == [FIRST]
    assert found(tmp_path, "voc")[0]["a.png"][2] != [FIRST]


def test_voc_an_object_with_two_boxes_is_refused(tmp_path):
    picture(tmp_path, "a.png")
    text(tmp_path, "a.xml", voc(boxes=2))
    assert "several bndbox" in found(tmp_path, "voc")[1]["a.png"]


@pytest.fixture
def set_of_two(tmp_path):
    for n, (name, box) in enumerate((("a", FIRST), ("b", SECOND))):
        picture(tmp_path, f"images/{name}.png", n)
        text(tmp_path, f"labels/{name}.txt", yolo(box, n))
    return tmp_path


NAMED = {"images/a.png": ("benign", None, [FIRST]), "images/b.png": ("malignant", None, [SECOND])}


def test_yolo_the_yaml_that_is_named_counts(set_of_two):
    text(set_of_two, "breast.yaml", "names: [benign, malignant]\n")
    text(set_of_two, "data.yaml", "names: [cat, dog]\n")
    assert found(set_of_two, "yolo", set_of_two / "breast.yaml")[0] == NAMED


@pytest.mark.parametrize(
    ("files", "encoding"),
    [
        ({"data.yaml": "names: lesions.names\n", "lesions.names": "benign\nmalignant\n"}, "utf-8"),
        ({"classes.txt": "benign\nmalignant\n\n"}, "utf-8-sig"),
        ({"data.yaml": "names: {0: benign, 1: malignant}\n"}, "utf-8-sig"),
        ({"breast.yaml": "names: [benign, malignant]\n"}, "utf-8"),
    ],
)
def test_yolo_names_as_programs_write_them(set_of_two, files, encoding):
    for name, content in files.items():
        text(set_of_two, name, content, encoding)
    assert found(set_of_two, "yolo")[0] == NAMED


def test_yolo_a_gap_among_the_names_shifts_none_of_them(set_of_two):
    text(set_of_two, "classes.txt", "benign\n\nmalignant\n")
    opened, refused, _ = found(set_of_two, "yolo")
    assert list(opened) == ["images/a.png"]
    assert "class 1" in refused["images/b.png"]


def test_yolo_a_class_without_a_name_is_refused_with_its_image(set_of_two):
    text(set_of_two, "data.yaml", "nc: 1\nnames: [benign]\n")
    opened, refused, _ = found(set_of_two, "yolo")
    assert list(opened) == ["images/a.png"]
    assert "class 1, which the data set does not name" in refused["images/b.png"]


@pytest.mark.parametrize(
    ("name", "content", "encoding", "message"),
    [
        ("classes.txt", "bösartig\n", "latin-1", "not UTF-8"),
        ("data.yaml", "names: bösartig\n", "latin-1", "not UTF-8"),
        ("data.yaml", "names: nowhere.names\n", "utf-8", "no such file"),
        ("data.yaml", "nc: 2\n", "utf-8", "expected `names`"),
    ],
)
def test_yolo_names_that_cannot_be_read_end_with_the_file_and_the_reason(set_of_two, name, content, encoding, message):
    text(set_of_two, name, content, encoding)
    with pytest.raises(DataUnreadable, match=message) as caught:
        found(set_of_two, "yolo")
    assert name in str(caught.value)


def test_yolo_key_points_are_no_polygon(tmp_path):
    picture(tmp_path, "images/a.png")
    text(tmp_path, "data.yaml", "kpt_shape: [2, 2]\nnames: [benign]\n")
    text(tmp_path, "labels/a.txt", yolo().strip() + " .1 .2 .3 .4\n")
    assert found(tmp_path, "yolo")[0]["images/a.png"][2] == [FIRST]
    text(tmp_path, "labels/a.txt", yolo().strip() + " .1 .2 .3 .4 .5 .6\n")
    assert "key points" in found(tmp_path, "yolo")[1]["images/a.png"]


def test_yolo_lines_that_repeat_count_once_and_marks_of_windows_are_skipped(set_of_two):
    text(set_of_two, "labels/a.txt", yolo() * 3 + yolo(SECOND), "utf-8-sig")
    opened, _, warnings = found(set_of_two, "yolo")
    assert opened["images/a.png"][2] == [FIRST, SECOND]
    assert any("a line repeats an earlier one; each counts once (2 labels)" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        ({"data.yaml": "train: train.txt\nval: val.txt\nnames: [x, y]\n", "train.txt": "./images/a.png\n",
          "val.txt": "/home/me/set/images/b.png\n"}, (Split.TRAIN, Split.VAL)),
        ({"obj.data": "classes = 2\n", "obj.names": "x\ny\n", "train.txt": "data/images/b.png\n",
          "test.txt": "data/images/a.png\n"}, (Split.TEST, Split.TRAIN)),
    ],
)  # fmt: skip
def test_yolo_splits_in_lists_are_read(set_of_two, files, splits):
    for name, content in files.items():
        text(set_of_two, name, content)
    opened, _, _ = found(set_of_two, "yolo")
    assert (opened["images/a.png"][1], opened["images/b.png"][1]) == splits


def test_yolo_splits_in_the_names_of_folders_are_read(tmp_path):
    for n, folder in enumerate(("obj_Train_data", "obj_valid_data")):
        picture(tmp_path, f"{folder}/{n}.png", n)
    opened, _, _ = found(tmp_path, "yolo")
    assert [split for _, split, _ in opened.values()] == [Split.TRAIN, Split.VAL]


def test_yolo_label_files_that_no_image_belongs_to_are_named(set_of_two):
    text(set_of_two, "labels/1f2e3d4c-a.txt", yolo())
    text(set_of_two, "labels/classes.txt", "x\n")
    _, _, warnings = found(set_of_two, "yolo")
    assert [warning for warning in warnings if "no image" in warning] == [
        "labels/1f2e3d4c-a.txt: no image belongs to this label file; it was not used"
    ]


def coco(annotations, images=None, categories=None):
    images = images or [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]
    categories = categories or [{"id": 1, "name": "benign"}, {"id": 2, "name": "malignant"}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories})


def annotation(**fields):
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": list(FIRST), **fields}


POLYGON = [8, 6, 24, 6, 24, 18, 8, 18]


@pytest.mark.parametrize(
    ("annotations", "boxes", "warning"),
    [
        ([annotation()] * 3, [FIRST], "repeats an earlier one; each counts once (2 labels)"),
        ([annotation(bbox=None, segmentation=[POLYGON])], [FIRST], None),
        ([annotation(bbox=[], segmentation=POLYGON)], [FIRST], None),
        ([annotation(segmentation=POLYGON)], [FIRST], None),
        (
            [annotation(segmentation=[[9, 6, 24, 6, 24, 18]]), annotation(bbox=list(SECOND))],
            [FIRST, SECOND],
            "only the boxes are used",
        ),
    ],
)
def test_coco_shapes_as_programs_write_them(tmp_path, annotations, boxes, warning):
    picture(tmp_path, "a.png")
    text(tmp_path, "annotations.json", coco(annotations))
    opened, refused, warnings = found(tmp_path, "coco")
    assert (opened["a.png"], refused) == (("benign", None, boxes), {})
    assert warning is None or any(warning in said for said in warnings)


@pytest.mark.parametrize("size", [(0, 0), ("64", "48"), (64.0, 48.0), (None, None)])
def test_coco_sizes_are_numbers_or_not_given(tmp_path, size):
    picture(tmp_path, "a.png")
    images = [{"id": 1, "file_name": "a.png", "width": size[0], "height": size[1]}]
    text(tmp_path, "annotations.json", coco([annotation()], images))
    assert found(tmp_path, "coco")[0]["a.png"][2] == [FIRST]


def test_coco_one_bad_item_never_takes_the_others_with_it(tmp_path):
    for n, name in enumerate("abcd"):
        picture(tmp_path, f"{name}.png", n)
    images = [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate("abcd", start=1)]
    images[1]["id"] = 1
    bad = [
        annotation(),
        annotation(image_id=3, category_id=[1]),
        annotation(image_id=4, category_id=2, bbox=list(SECOND)),
        annotation(image_id={"x": 1}),
    ]
    text(tmp_path, "annotations.json", coco(bad, images))
    opened, refused, warnings = found(tmp_path, "coco")
    assert opened == {"d.png": ("malignant", None, [SECOND])}
    assert "2 images have the id 1" in refused["a.png"] == refused["b.png"]
    assert "category_id" in refused["c.png"]
    assert any("not listed" in warning for warning in warnings)


def test_coco_run_lengths_that_do_not_fill_the_image_are_refused(tmp_path):
    picture(tmp_path, "a.png")
    short = {"size": [48, 64], "counts": [300, 20, 38]}
    text(tmp_path, "annotations.json", coco([annotation(segmentation=short)]))
    assert "add up to 358" in found(tmp_path, "coco")[1]["a.png"]


def test_coco_images_are_found_though_the_first_of_them_are_missing(tmp_path):
    picture(tmp_path, "images/40.png")
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(1, 41)]
    text(tmp_path, "annotations.json", coco([annotation(image_id=40)], images))
    opened, refused, _ = found(tmp_path, "coco")
    assert (opened["40.png"][2], len(refused)) == ([FIRST], 39)


def test_coco_names_of_another_machine_are_found_by_their_end_in_a_folder_that_is_named(tmp_path):
    picture(tmp_path, "pictures/1f2e-a.png")
    images = [{"id": 1, "file_name": "/data/upload/1/1f2e-a.png"}]
    text(tmp_path, "result.json", coco([annotation()], images))
    assert "--images DIR" in next(iter(found(tmp_path, "coco", tmp_path / "result.json")[1].values()))
    opened, refused, _ = found(tmp_path, "coco", tmp_path / "result.json", images=tmp_path / "pictures")
    assert ([boxes for _, _, boxes in opened.values()], refused) == ([[FIRST]], {})


def test_csv_cells_that_say_nothing_are_not_given(tmp_path):
    for n, name in enumerate("abc"):
        picture(tmp_path, f"{name}.png", n)
    rows = "image,class,mask,x,y,width,height,group\na.png,benign,NaN,8,6,16,12,None\nb.png,nan,,,,,,N/A\n"
    text(tmp_path, "labels.csv", rows + "c.png,malignant,,nan,nan,nan,nan,NULL\n")
    opened, refused, warnings = found(tmp_path, "csv")
    assert opened == {
        "a.png": ("benign", None, [FIRST]),
        "b.png": (None, None, None),
        "c.png": ("malignant", None, None),
    }
    assert (refused, "'nan' (5)" in warnings[0]) == ({}, True)


def test_csv_spellings_of_one_file_are_one_image_and_twins_one_box(tmp_path):
    picture(tmp_path, "img/a.png")
    rows = "image,class,x,y,width,height\nimg/a.png,benign,8,6,16,12\nimg\\a.png,benign,8,6,16,12\n"
    text(tmp_path, "labels.csv", rows)
    opened, _, warnings = found(tmp_path, "csv")
    assert opened == {"img/a.png": ("benign", None, [FIRST])}
    assert "a box repeats" in warnings[0]
    text(tmp_path, "labels.csv", rows + "./img/a.png,malignant,1,1,5,5\n")
    assert "differ in class" in found(tmp_path, "csv")[1]["img/a.png"]


def test_csv_rows_of_commas_and_a_column_without_a_name_are_nothing(tmp_path):
    picture(tmp_path, "a.png")
    text(tmp_path, "labels.csv", "image,class,\na.png,benign,\n,,\n,,\n", "utf-8-sig")
    assert found(tmp_path, "csv") == ({"a.png": ("benign", None, None)}, {}, [])


def test_the_class_of_busi_is_the_folder_that_an_image_lies_in(tmp_path):
    for n, name in enumerate(("benign", "malignant")):
        picture(tmp_path, f"Dataset_BUSI_with_GT/{name}/{name} (1).png", n)
    opened, _, _ = found(tmp_path, "busi")
    assert [cls for cls, _, _ in opened.values()] == ["benign", "malignant"]


def test_folders_of_splits_are_splits(tmp_path):
    for n, name in enumerate(("train/NORMAL/0.png", "Val/PNEUMONIA/1.png", "test/PNEUMONIA/2.png")):
        picture(tmp_path, name, n)
    opened, _, warnings = found(tmp_path, "folders")
    facts = {name: facts[:2] for name, facts in opened.items()}
    assert facts["train/NORMAL/0.png"] == ("NORMAL", Split.TRAIN)
    assert facts["Val/PNEUMONIA/1.png"] == ("PNEUMONIA", Split.VAL)
    assert facts["test/PNEUMONIA/2.png"] == ("PNEUMONIA", Split.TEST)
    assert "splits" in warnings[0]


def test_a_dicom_file_without_a_size_is_refused_and_the_good_one_stays(tmp_path):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    data = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    (tmp_path / "c").mkdir()
    data.save_as(tmp_path / "c" / "good.dcm")
    del data.Columns
    data.save_as(tmp_path / "c" / "bad.dcm")
    opened, refused, _ = found(tmp_path, "folders")
    assert list(opened) == ["c/good.dcm"]
    assert "how large" in refused["c/bad.dcm"]


@pytest.mark.parametrize(
    ("patient", "group"),
    [("ANONYMOUS", None), ("anon^", None), ("000000", None), ("", None), ("Anonymized", None), ("4MR1", "4MR1")],
)
def test_a_placeholder_is_no_patient(tmp_path, patient, group):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    data = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    data.PatientID = patient
    (tmp_path / "c").mkdir()
    data.save_as(tmp_path / "c" / "a.dcm")
    (opened,) = open_entries(read_layout("folders", tmp_path).entries)
    assert opened[0].group == group


# --- nothing is left unsaid


def test_voc_annotations_called_otherwise_are_matched_by_the_image_that_they_name(tmp_path):
    for n, name in enumerate(("JPEGImages/a.png", "JPEGImages/b.png")):
        picture(tmp_path, name, n)
    text(tmp_path, "Annotations/task_1.xml", voc(filename="a.png"))
    text(tmp_path, "Annotations/b.xml", voc(SECOND, filename="b.png"))
    text(tmp_path, "Annotations/task_2.xml", voc(SECOND, filename="b.png"))
    opened, refused, warnings = found(tmp_path, "voc")
    assert {name: boxes for name, (_, _, boxes) in opened.items()} == {
        "JPEGImages/a.png": [FIRST],
        "JPEGImages/b.png": [SECOND],
    }
    assert refused == {}
    assert any("task_1.xml is used for JPEGImages/a.png" in warning for warning in warnings)
    assert any("task_2.xml: no image belongs to it" in warning for warning in warnings)


def test_voc_a_mask_that_shows_something_contradicts_an_annotation_without_objects(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    text(tmp_path, "Annotations/a.xml", "<annotation><filename>a.png</filename></annotation>")
    inside = np.zeros((48, 64), dtype=np.uint8)
    inside[6:18, 8:24] = 255
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(inside).save(tmp_path / "SegmentationClass/a.png")
    assert "its mask is not empty" in found(tmp_path, "voc")[1]["JPEGImages/a.png"]
    Image.fromarray(inside * 0).save(tmp_path / "SegmentationClass/a.png")
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"] == (None, None, [])


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_an_image_listed_for_two_splits_is_refused(tmp_path, layout):
    folder = {"voc": "JPEGImages", "yolo": "images"}[layout]
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{folder}/{name}.png", n)
    if layout == "voc":
        text(tmp_path, "ImageSets/Main/train.txt", "a\nb\n")
        text(tmp_path, "ImageSets/Main/test.txt", "a\nb2\n")
    else:
        text(tmp_path, "data.yaml", "train: train.txt\ntest: test.txt\nnames: [x]\n")
        text(tmp_path, "train.txt", "images/a.png\nimages/b.png\n")
        text(tmp_path, "test.txt", "images/a.png\nimages/b2.png\n")
    opened, refused, warnings = found(tmp_path, layout)
    assert opened[f"{folder}/b.png"][1] is Split.TRAIN
    assert "listed for train and for test" in refused[f"{folder}/a.png"]
    assert any("b2" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("layout", "label"), [("voc", "Annotations/a.xml"), ("yolo", "labels/a.txt"), ("labelme", "images/a.json")]
)
def test_a_label_file_of_two_images_is_nobodys(tmp_path, layout, label):
    folder = "JPEGImages" if layout == "voc" else "images"
    for n, name in enumerate(("a.png", "a.jpg", "b.png")):
        picture(tmp_path, f"{folder}/{name}", n)
    content = {"voc": voc(), "yolo": yolo(), "labelme": json.dumps({"shapes": [], "imagePath": "a.jpg"})}[layout]
    text(tmp_path, label, content)
    opened, refused, _ = found(tmp_path, layout)
    assert list(opened) == [f"{folder}/b.png"]
    assert all("it is unclear which" in reason for reason in refused.values())
    assert set(refused) == {f"{folder}/a.png", f"{folder}/a.jpg"}


def test_yolo_label_files_in_folders_where_none_are_expected_are_named(set_of_two):
    text(set_of_two, "annotations/old/a.txt", yolo())
    text(set_of_two, "notes.txt", "ask the radiologist about image 7\n")
    text(set_of_two, "labels/more.txt", "0 .5 .5 .1 .1\n")
    _, _, warnings = found(set_of_two, "yolo")
    assert [warning.partition(":")[0] for warning in warnings if "no image belongs" in warning] == [
        "annotations/old/a.txt",
        "labels/more.txt",
    ]


@pytest.mark.parametrize("layout", ["coco", "csv"])
def test_images_that_the_file_does_not_list_are_named(tmp_path, layout):
    for n, name in enumerate("abcdef"):
        picture(tmp_path, f"{name}.png", n)
    if layout == "coco":
        text(tmp_path, "annotations.json", coco([annotation()]))
    else:
        text(tmp_path, "labels.csv", "image,class\na.png,benign\n")
    _, _, warnings = found(tmp_path, layout)
    assert any("5 images, such as b.png, c.png, d.png: not listed in" in warning for warning in warnings)


@pytest.mark.parametrize("layout", ["busi", "folders"])
def test_images_in_no_folder_of_a_class_are_named(tmp_path, layout):
    for n, name in enumerate(("benign/a.png", "stray.png")):
        picture(tmp_path, name, n)
    opened, _, warnings = found(tmp_path, layout)
    assert list(opened) == ["benign/a.png"]
    assert warnings == ["stray.png: it is not in a class folder; it was not used"]


@pytest.mark.parametrize("far", [1e12, -1e12, 10**400, float("nan")])
def test_coco_a_corner_far_beyond_the_image_takes_no_memory(tmp_path, far):
    picture(tmp_path, "a.png")
    text(tmp_path, "annotations.json", coco([annotation(segmentation=[[8, 6, far, 6, 24, 18]])]))
    assert "segmentation" in found(tmp_path, "coco")[1]["a.png"]


@pytest.mark.parametrize(("on_disk", "in_files"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_are_the_same_however_a_system_writes_them(tmp_path, on_disk, in_files):
    """A Mac writes a letter with an accent as two characters, other systems as one."""
    name, said = (unicodedata.normalize(form, "N\u00f8dule \u00e9t\u00e9") for form in (on_disk, in_files))
    picture(tmp_path / "voc", f"JPEGImages/{name}.png")
    text(tmp_path / "voc", f"Annotations/{said}.xml", voc(FIRST, "benign", f"{said}.png"))
    text(tmp_path / "voc", "ImageSets/Main/val.txt", f"{said}\n")
    assert found(tmp_path / "voc", "voc")[0] == {f"JPEGImages/{name}.png": ("benign", Split.VAL, [FIRST])}
    picture(tmp_path / "yolo", f"images/{name}.png")
    text(tmp_path / "yolo", f"labels/{said}.txt", yolo())
    text(tmp_path / "yolo", "test.txt", f"images/{said}.png\n")
    text(tmp_path / "yolo", "data.yaml", "test: test.txt\nnames: [benign]\n")
    assert found(tmp_path / "yolo", "yolo")[0] == {f"images/{name}.png": ("benign", Split.TEST, [FIRST])}
    picture(tmp_path / "masks", f"benign/{name}.png")
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[6:18, 8:24] = 255
    (tmp_path / "masks" / "benign_mask").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "benign_mask" / f"{said}.png")
    assert found(tmp_path / "masks", "folders")[0] == {f"benign/{name}.png": ("benign", None, [FIRST])}


def test_lists_of_images_in_utf_16_are_read(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    text(tmp_path, "Annotations/a.xml", voc())
    text(tmp_path, "ImageSets/Main/test.txt", "a\r\n", "utf-16")
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"][1] is Split.TEST


def test_the_border_that_voc_leaves_open_is_no_part_of_a_lesion(tmp_path):
    picture(tmp_path, "JPEGImages/a.png")
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[4:20, 6:26] = 255
    mask[6:18, 8:24] = 1
    image = Image.fromarray(mask)
    colours = np.zeros((256, 3), dtype=np.uint8)
    colours[1], colours[255] = (128, 0, 0), (224, 224, 192)
    image.putpalette(colours.tobytes())
    (tmp_path / "SegmentationClass").mkdir()
    image.save(tmp_path / "SegmentationClass" / "a.png")
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"][2] == [FIRST]
    mask[mask == 1] = 255
    painted = Image.fromarray(mask)
    painted.putpalette(colours.tobytes())
    painted.save(tmp_path / "SegmentationClass" / "a.png")
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"][2] == [(6.0, 4.0, 20.0, 16.0)], "nothing else is painted"
