"""Inputs that once gave an image a label that nobody had given it, each rebuilt small."""

import json

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable
from db.imaging.dicom import is_placeholder
from db.imaging.masks import read_mask
from db.records import Split
from tests.picture_files import mask_file
from tests.unit.annotator.datasets.formats.test_as_people_write_them import (
    FIRST,
    SECOND,
    annotation,
    coco,
    found,
    picture,
    text,
    voc,
    yolo,
)
from tests.unit.annotator.datasets.formats.test_labeling_programs import annotation as submitted
from tests.unit.annotator.datasets.formats.test_labeling_programs import (
    choice,
    cvat,
    cvat_box,
    export,
    image,
    labelme,
    rectangle,
    task,
    via,
)


@pytest.mark.parametrize("layout", ["voc", "labelme"])
def test_another_patients_label_is_not_taken_by_its_bare_name(tmp_path, layout):
    for n, name in enumerate(("p1/images/1.png", "p1/images/2.png")):
        picture(tmp_path, name, n)
    if layout == "voc":
        text(tmp_path, "p1/annotations/2.xml", voc())
        text(tmp_path, "p2/annotations/1.xml", voc(SECOND, "malignant", filename="1.png"))
    else:
        text(tmp_path, "p1/images/2.json", labelme(path="2.png"))
        text(tmp_path, "p2/1.json", labelme(path="1.png"))
    opened, _, warnings = found(tmp_path, layout)
    assert opened["p1/images/1.png"] == (None, None, None)
    assert any("p2" in warning and "no image belongs" in warning for warning in warnings)


@pytest.mark.parametrize(("alpha", "pages"), [(100, 1), (127, 1), (255, 2)])
def test_masks_that_are_half_transparent_or_have_pages(tmp_path, alpha, pages):
    pixels = np.zeros((48, 64, 4), dtype=np.uint8)
    pixels[6:18, 8:24] = (255, 0, 0, alpha)
    file = tmp_path / ("m.png" if pages == 1 else "m.tif")
    Image.fromarray(pixels).save(
        file, **({} if pages == 1 else {"save_all": True, "append_images": [Image.new("L", (9, 9))]})
    )
    if pages > 1:
        with pytest.raises(ImageUnreadable, match="2 pages"):
            read_mask(file)
    else:
        assert read_mask(file).sum() == 192


@pytest.mark.parametrize("kind", ["L", "I;16", "RGB"])
def test_numbers_of_many_objects_are_no_shades(tmp_path, kind):
    numbers = np.zeros((48, 64), dtype=np.uint16)
    for n in range(20):
        numbers[2 + 9 * (n // 5) : 7 + 9 * (n // 5), 2 + 12 * (n % 5) : 7 + 12 * (n % 5)] = n + 1
    if kind == "RGB":
        colours = np.random.default_rng(0).integers(10, 255, (21, 3), dtype=np.uint8)
        colours[0] = 0
        Image.fromarray(colours[numbers]).save(tmp_path / "m.png")
    else:
        Image.fromarray(numbers if kind == "I;16" else numbers.astype(np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").sum() == 20 * 25


def test_the_shades_of_an_edge_are_still_shades(tmp_path):
    y, x = np.mgrid[:96, :96]
    soft = np.clip((30 - np.hypot(x - 48, y - 48)) * 12 + 128, 0, 255).astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / "m.png")
    assert abs(read_mask(tmp_path / "m.png").sum() - np.pi * 30**2) < 60


def test_coco_images_beside_the_file_go_before_those_of_a_folder_next_to_it(tmp_path):
    picture(tmp_path, "crops/a.png", 1)
    picture(tmp_path, "images/a.png", 2)
    text(tmp_path, "crops/annotations.json", coco([annotation()]))
    (entry,) = read_layout("coco", tmp_path / "crops").entries
    assert entry.path.location == str(tmp_path / "crops/a.png")


def test_coco_two_entries_for_one_file_are_nobodys(tmp_path):
    picture(tmp_path, "a.png")
    items = [{"id": n, "file_name": "a.png", "width": 64, "height": 48} for n in (1, 2)]
    text(tmp_path, "annotations.json", coco([annotation(), annotation(id=2, image_id=2, category_id=2)], items))
    listing = read_layout("coco", tmp_path)
    assert (listing.entries, len(listing.refusals)) == ([], 2)
    assert "listed 2 times" in listing.refusals[0].reason


def test_busi_a_mask_of_two_images_is_nobodys_and_capitals_do_not_matter(tmp_path):
    for n, name in enumerate(("a.jpg", "a.png", "b.png")):
        picture(tmp_path / "benign", name, n)
    mask_file(tmp_path / "benign" / "a_mask.png", (8, 6, 16, 12))
    mask_file(tmp_path / "benign" / "b_Mask.PNG", (8, 6, 16, 12))
    opened, refused, _ = found(tmp_path, "busi")
    assert opened == {"benign/b.png": ("benign", None, [FIRST])}
    assert set(refused) == {"benign/a.jpg", "benign/a.png"}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("image,class,x,y,width,height\na.png,benign,10,5,20,5,30,0\n", "more cells"),
        ("image,class\na.png,benign, cyst\n", "more cells"),
    ],
)
def test_csv_surplus_cells_are_refused(tmp_path, table, reason):
    picture(tmp_path, "a.png")
    text(tmp_path, "labels.csv", table)
    assert reason in found(tmp_path, "csv")[1]["a.png"]


def test_csv_a_column_that_is_there_twice_is_refused(tmp_path):
    text(tmp_path, "labels.csv", "image,class,class\na.png,x,y\n")
    with pytest.raises(DataUnreadable, match="'class' appears twice"):
        read_layout("csv", tmp_path)


def test_folders_around_those_of_splits_are_no_class(tmp_path):
    for n, name in enumerate(("set/train/ill/a.png", "set/test/well/b.png")):
        picture(tmp_path, name, n)
    opened, _, _ = found(tmp_path, "folders")
    assert opened == {
        "set/train/ill/a.png": ("ill", Split.TRAIN, None),
        "set/test/well/b.png": ("well", Split.TEST, None),
    }


@pytest.mark.parametrize("layout", ["folders", "yolo"])
def test_a_few_masks_among_many_images_are_no_images(registry, tmp_path, layout):
    root = tmp_path / "set"
    for n in range(20):
        picture(root, f"{'images' if layout == 'yolo' else 'benign'}/{n}.png", n)
        text(root, f"labels/{n}.txt", yolo()) if layout == "yolo" else None
    picture(root, "masks/0.png" if layout == "yolo" else "benign/0_segmentation.png", 99)
    report = import_images(registry, ImportRequest(root, layout))
    assert (report.registered, report.unused.images) == (20, 1)
    assert report.used + report.unused == report.there
    assert any("looks like the mask of another image" in warning for warning in report.warnings)


def test_what_a_lesion_is_called_is_no_class_where_images_have_classes(tmp_path):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{name}.png", n)
    export(
        tmp_path,
        task("a.png", submitted(rectangle(label="Lesion"), choice("benign"))),
        task("b.png", submitted(rectangle(label="Lesion"))),
    )
    opened, _, _ = found(tmp_path, "labelstudio")
    assert opened == {"a.png": ("benign", None, [FIRST]), "b.png": (None, None, [FIRST])}
    cvat(tmp_path, image("a.png", '<tag label="benign"></tag>', cvat_box("Lesion")), image("b.png", cvat_box("Lesion")))
    assert found(tmp_path, "cvat")[0]["b.png"] == (None, None, [FIRST])


def test_a_region_with_two_labels_and_a_task_with_two_images_are_refused(tmp_path):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{name}.png", n)
    both = rectangle()
    both["value"]["rectanglelabels"] = ["benign", "malignant"]
    export(
        tmp_path,
        task("a.png", submitted(both)),
        {**task("a.png", submitted(rectangle())), "data": {"cc": "a.png", "mlo": "b.png"}},
    )
    _, refused, _ = found(tmp_path, "labelstudio")
    assert "several classes" in refused["a.png"]
    assert "several images (cc, mlo)" in refused["task 2"]
    shown = rectangle(to_name="mlo")
    export(tmp_path, {**task("a.png", submitted(shown)), "data": {"cc": "a.png", "mlo": "b.png"}})
    assert list(found(tmp_path, "labelstudio")[0]) == ["b.png"]


def test_cvats_empty_files_say_nothing_and_its_pixels_count_from_0(tmp_path):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"yolo/obj_train_data/{name}.png", n)
        picture(tmp_path, f"voc/JPEGImages/{name}.png", n)
    text(tmp_path, "yolo/obj.data", "classes = 1\n")
    text(tmp_path, "yolo/obj.names", "benign\n")
    text(tmp_path, "yolo/obj_train_data/a.txt", yolo())
    text(tmp_path, "yolo/obj_train_data/b.txt", "")
    opened, _, warnings = found(tmp_path / "yolo", "yolo")
    assert opened["obj_train_data/b.png"][2] is None
    assert any("1 label file is empty" in warning for warning in warnings)
    text(tmp_path, "voc/labelmap.txt", "# label:color_rgb:parts:actions\n")
    text(tmp_path, "voc/Annotations/a.xml", voc((10.5, 8.25, 10.0, 10.5), origin=0))
    text(tmp_path, "voc/Annotations/b.xml", "<annotation><filename>b.png</filename></annotation>")
    opened, _, warnings = found(tmp_path / "voc", "voc")
    assert opened["JPEGImages/a.png"][2] == [(10.5, 8.25, 10.0, 10.5)]
    assert opened["JPEGImages/b.png"][2] is None


def test_yolo_names_are_text_and_lie_among_label_files_too(tmp_path):
    picture(tmp_path, "images/a.png")
    text(tmp_path, "labels/a.txt", yolo(cls=0))
    text(tmp_path, "labels/classes.txt", "benign\n")
    assert found(tmp_path, "yolo")[0]["images/a.png"][0] == "benign"
    text(tmp_path, "data.yaml", "names: [no, yes]\n")
    assert found(tmp_path, "yolo")[0]["images/a.png"][0] == "no"


@pytest.mark.parametrize(
    ("yaml", "lists", "splits"),
    [
        ("path: ../sets/x\ntrain: images/one\nval: images/two\n", {}, (Split.TRAIN, Split.VAL)),
        ("path: ../sets/x\ntrain: tr.txt\n", {"tr.txt": "images/one/a.png\n"}, (Split.TRAIN, None)),
        (None, {"train.txt": "images/one/a.png\n", "val.txt": "images/two/b.png\n"}, (Split.TRAIN, Split.VAL)),
        ("train: images\nval: images\n", {}, (None, None)),
    ],
)
def test_yolo_splits_are_found_wherever_the_set_lay_once(tmp_path, yaml, lists, splits):
    for n, name in enumerate(("one/a", "two/b")):
        picture(tmp_path, f"images/{name}.png", n)
        text(tmp_path, f"labels/{name}.txt", yolo())
    if yaml is not None:
        text(tmp_path, "data.yaml", f"{yaml}names: [x]\n")
    for name, content in lists.items():
        text(tmp_path, name, content)
    opened, _, warnings = found(tmp_path, "yolo")
    assert (opened["images/one/a.png"][1], opened["images/two/b.png"][1]) == splits
    assert splits != (None, None) or any("named for train and for val" in warning for warning in warnings)


def test_voc_sets_and_folders_of_other_names_are_splits(tmp_path):
    for n, name in enumerate(("JPEGImages/a.png", "JPEGImages/b.png")):
        picture(tmp_path / "sets", name, n)
    text(tmp_path, "sets/ImageSets/Segmentation/train.txt", "a\n")
    text(tmp_path, "sets/ImageSets/Segmentation/Valid.txt", "b\n")
    assert [split for _, split, _ in found(tmp_path / "sets", "voc")[0].values()] == [Split.TRAIN, Split.VAL]
    for n, name in enumerate(("train/a.png", "valid/b.png")):
        picture(tmp_path / "folders", name, n)
    assert [split for _, split, _ in found(tmp_path / "folders", "voc")[0].values()] == [Split.TRAIN, Split.VAL]


def test_another_programs_images_csv_is_not_taken_for_ours(tmp_path):
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, "labels/train/a.txt", yolo())
    text(tmp_path, "images.csv", "image,width\nimages/train/a.png,64 µm\n", "cp1252")
    assert found(tmp_path, "yolo")[0]["images/train/a.png"][1] is Split.TRAIN


def test_a_corrected_mask_with_the_same_box_is_taken(registry, tmp_path):
    picture(tmp_path / "set", "a.png")
    text(tmp_path, "set/labels.csv", "image,class,mask\na.png,benign,m.png\n")
    pixels = np.zeros((48, 64), dtype=np.uint8)
    pixels[5:25, 5:25] = 255
    for hole, updated in ((0, 0), (0, 0), (10, 1)):
        pixels[6 : 6 + hole, 6 : 6 + hole] = 0
        Image.fromarray(pixels).save(tmp_path / "set/m.png")
        assert import_images(registry, ImportRequest(tmp_path / "set", "csv")).updated == updated
    with registry.read() as tx:
        (image_record,) = tx.images.select()
        assert image_record.label.revision == 2


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_labels_of_another_format_are_named(tmp_path, layout):
    for n, name in enumerate(("images/a.png", "images/b.png")):
        picture(tmp_path, name, n)
    text(tmp_path, "labels/a.txt", yolo())
    text(tmp_path, "annotations/b.xml", voc())
    text(tmp_path, "data.yaml", "names: [x]\n")
    with pytest.raises(DataUnreadable, match="choose with --layout"):
        recognise(tmp_path)
    other = {"voc": "labels/a.txt", "yolo": "annotations/b.xml"}[layout]
    assert f"{other}: it is in another format; it was not used" in found(tmp_path, layout)[2]


def test_one_bad_item_does_not_hide_what_a_file_is(tmp_path):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{name}.png", n)
    export(tmp_path, task("a.png", submitted(rectangle())), {"id": 2}, None)
    assert list(found(tmp_path, "labelstudio")[0]) == ["a.png"]
    via(tmp_path, {"a.png": ([], {})})
    document = json.loads((tmp_path / "via_region_data.json").read_text())
    text(tmp_path, "via.json", json.dumps({**document, "b.png1": {"filename": "b.png"}}))
    opened, refused, _ = found(tmp_path, "via", tmp_path / "via.json")
    assert (list(opened), len(refused)) == (["a.png"], 1)
    text(tmp_path, "coco.json", json.dumps({**json.loads(coco([annotation()])), "annotations": [annotation(), None]}))
    assert list(found(tmp_path, "coco", tmp_path / "coco.json")[0]) == ["a.png"]


def test_a_folder_around_the_set_names_the_file_that_was_found(tmp_path):
    picture(tmp_path, "one/a.png")
    cvat(tmp_path / "one", image("a.png", cvat_box()))
    with pytest.raises(DataUnreadable, match=r"one/annotations.xml has CVAT's <annotations>.*name that file"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ("ANONYMOUS^PATIENT", True), ("<REMOVED>", True), ("[ANON]", True), ("REDACTED", True), ("unknown", True),
        ("P17", False), ("ANON007", False), ("a", False), ("Müller", False), ("test", False), ("0", False),
    ],
)  # fmt: skip
def test_placeholders_are_no_group(patient, expected):
    assert is_placeholder(patient) is expected
    assert is_placeholder("TEST", filler=True)
    assert is_placeholder("0000", filler=True)
