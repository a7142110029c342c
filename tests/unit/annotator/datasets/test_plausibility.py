import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.datasets.listing.entries import Counts, Entry, Refusal
from annotator.datasets.plausibility import masks_among, suspicions
from annotator.errors import DataSuspicious
from db.imaging.files import ImageFile
from db.records import Box
from tests.picture_files import picture


def entries(*names, **fields):
    return [Entry(name=name, path=ImageFile.at(f"/data/{name}"), **fields) for name in names]


@pytest.mark.parametrize(
    ("found", "layout", "message"),
    [
        (entries("images/a.png", class_name="images") * 2, "folders", r"'images' \(2 images\)"),
        (entries("train/a.png", class_name="Train"), "folders", "'Train'"),
        (entries("a (1).png", "a (1)_mask.png", "b.png", "b_mask.png", "c.png", "c_mask_1.png"), "csv", "3 of 6"),
        (entries(*(f"p/{n}{end}.png" for n in range(3) for end in ("", "_segmentation"))), "csv", "3 of 6"),
        (entries(*(f"{part}/{n}.png" for part in ("images", "masks") for n in range(4))), "csv", "4 of 8"),
        (entries("a.png", "b.png"), "yolo", "none of its 2 images has a label file"),
        (entries("a.png", "b.png"), "voc", "none of its 2 images has a label file"),
    ],
)  # fmt: skip
def test_a_data_set_in_the_wrong_layout_is_noticed(found, layout, message):
    import re

    said = suspicions(found, layout, masks_among(found))
    assert len(said) == 1
    assert re.search(message, said[0])


@pytest.mark.parametrize(
    ("found", "layout"),
    [
        (entries("benign/a.png", class_name="benign"), "folders"),
        # A class of its own, as in sets of faces; one or two odd names are no pattern.
        (entries("mask_1.png", "a_mask.png", "b.png", class_name="covered"), "csv"),
        (entries("a.png", "a_mask.png", *(f"{n}.png" for n in range(9))), "csv"),
        # Patients with the same file names.
        (entries("p1/1.png", "p2/1.png", "p3/1.png", class_name="benign"), "csv"),
        (entries("a.png", boxes=(Box(1, 1, 2, 2),)) + entries("b.png", "c.png"), "yolo"),
        (entries("a.png", "b.png", is_empty=True), "yolo"),
        ([], "yolo"),
        # A file names these classes: a vehicle, a thing that people wear, a kind of image.
        *(
            (entries("a.png", class_name=name, is_empty=True), layout)
            for name in ("train", "mask", "test", "photo", "clinical image", "data")
            for layout in ("coco", "csv", "cvat", "labelme", "labelstudio", "via", "voc", "yolo")
        ),
    ],
)
def test_a_data_set_that_is_as_it_should_be_raises_no_doubt(found, layout):
    assert suspicions(found, layout, masks_among(found)) == []


@pytest.mark.parametrize(
    ("layout", "class_from", "odd"),
    [("folders", None, True), ("busi", None, True), ("coco", "folder", True), ("csv", "kind", False)],
)
def test_classes_are_doubted_only_where_folders_name_them(layout, class_from, odd):
    found = entries("photos/a.png", class_name="photos")
    said = suspicions(found, layout, [], class_from=class_from)
    assert [("'photos' (1 image)" in sentence) for sentence in said] == [True] * odd


def test_an_image_that_was_refused_with_its_label_has_one():
    refusals = [Refusal("a.png", "class 7 in line 1", Counts(1, 1))]
    assert suspicions(entries("b.png"), "yolo", [], refusals=refusals) == []
    refusals = [Refusal("a.png", "not an image", Counts(1))]
    (said,) = suspicions(entries("b.png"), "yolo", [], refusals=refusals)
    assert "none of its 2 images has a label file" in said
    (said,) = suspicions(entries("b.png"), "yolo", [])
    assert "its only image does not have a label file" in said


def yolo_set(root, **labels):
    (root / "labels").mkdir(parents=True)
    (root / "data.yaml").write_text("names: [benign, malignant]\n")
    for n, name in enumerate("ab"):
        picture(root / "images" / f"{name}.png", n)
    for name, line in labels.items():
        (root / "labels" / f"{name}.txt").write_text(line)


def test_an_import_names_the_class_that_a_label_file_has_too_many(registry, tmp_path):
    yolo_set(tmp_path / "set", a="7 .25 .25 .25 .25\n", zz="0 .25 .25 .25 .25\n")
    report = import_images(registry, ImportRequest(tmp_path / "set", "yolo"))
    assert (report.registered, [refusal.file for refusal in report.refused]) == (1, ["images/a.png"])
    assert "class 7" in report.refused[0].reason


def test_what_would_be_refused_is_said_where_an_import_stops(registry, tmp_path):
    yolo_set(tmp_path / "set", zz="0 .25 .25 .25 .25\n")
    (tmp_path / "set" / "images" / "c.png").symlink_to("/dev/null")
    with pytest.raises(DataSuspicious) as caught:
        import_images(registry, ImportRequest(tmp_path / "set", "yolo"))
    said = str(caught.value)
    assert "none of its 3 images has a label file; 1 label file belongs to no image, such as labels/zz.txt" in said
    assert "1 file would be refused: images/c.png: " in said
