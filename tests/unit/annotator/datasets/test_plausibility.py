import pytest

from annotator.datasets.listing.entries import Entry
from annotator.datasets.plausibility import masks_among, suspicions
from db.imaging.files import ImageFile
from db.records import Box


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
        (entries("a.png", "b.png"), "yolo", "not one of its 2 images has a label file"),
        (entries("a.png", "b.png"), "voc", "not one of its 2 images has a label file"),
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
    ],
)
def test_a_data_set_that_is_as_it_should_be_raises_no_doubt(found, layout):
    assert suspicions(found, layout, masks_among(found)) == []
