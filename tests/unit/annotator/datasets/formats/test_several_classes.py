"""Images whose boxes carry several classes, and where an image's class comes from then."""

import pytest

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.formats.supported import read_layout
from annotator.errors import DataUnreadable
from db.errors import InvalidArgument
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

TWO_OBJECTS = voc(FIRST).replace(
    "</annotation>", voc(SECOND, "malignant").partition("</size>")[2]
)  # the second's object, inside the first


def make(root, layout):
    """One image of two boxes, one called benign and one malignant, in a folder of its class; returns its name."""
    name = {"voc": "JPEGImages/ill/a.png", "yolo": "images/ill/a.png"}.get(layout, "ill/a.png")
    picture(root, name)
    if layout == "coco":
        notes = [annotation(), annotation(id=2, category_id=2, bbox=list(SECOND))]
        item = {"id": 1, "file_name": "ill/a.png", "width": 64, "height": 48}
        text(root, "annotations.json", coco(notes, [item]))
    if layout == "csv":
        rows = ["ill/a.png,benign,8,6,16,12,hospital A", "ill/a.png,malignant,30,20,20,20,hospital A"]
        text(root, "labels.csv", "\n".join(["image,class,x,y,width,height,diagnosis", *rows]))
    if layout == "voc":
        text(root, "Annotations/ill/a.xml", TWO_OBJECTS)
    if layout == "yolo":
        text(root, "data.yaml", "names: [benign, malignant]\n")
        text(root, "labels/ill/a.txt", yolo() + yolo(SECOND, 1))
    return name


LAYOUTS = ["coco", "csv", "voc", "yolo"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_refused_with_the_way_out(tmp_path, layout):
    name = make(tmp_path, layout)
    opened, refused, _ = found(tmp_path, layout)
    assert (opened, list(refused)) == ({}, [name])
    assert "--boxes-as lesion" in refused[name]
    assert "benign, malignant" in refused[name]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_box_is_a_location_and_the_class_comes_from_the_folder_or_nowhere(tmp_path, layout):
    name = make(tmp_path, layout)
    assert found(tmp_path, layout, boxes_as=BoxesAs.LESION)[0] == {name: (None, None, [FIRST, SECOND])}
    opened, _, _ = found(tmp_path, layout, boxes_as=BoxesAs.LESION, class_from="folder")
    assert opened == {name: ("ill", None, [FIRST, SECOND])}


def test_the_class_comes_from_a_column(tmp_path):
    make(tmp_path, "csv")
    opened, _, _ = found(tmp_path, "csv", class_from="diagnosis")
    assert opened == {"ill/a.png": ("hospital A", None, [FIRST, SECOND])}
    with pytest.raises(DataUnreadable, match="no column 'typo'; found image, class"):
        read_layout("csv", tmp_path, class_from="typo")


def test_folders_that_are_no_classes_are_passed_over(tmp_path):
    picture(tmp_path, "images/train/a.png")
    text(tmp_path, "labels/train/a.txt", yolo())
    assert found(tmp_path, "yolo", class_from="folder", boxes_as=BoxesAs.LESION)[0]["images/train/a.png"][0] is None


def test_options_where_they_mean_nothing_are_refused(tmp_path):
    picture(tmp_path, "benign/a.png")
    with pytest.raises(InvalidArgument, match="--boxes-as applies only to layouts whose boxes have names"):
        read_layout("folders", tmp_path, boxes_as=BoxesAs.LESION)
    with pytest.raises(InvalidArgument, match="--class-from can only be 'folder' for the coco layout"):
        read_layout("coco", tmp_path, class_from="diagnosis")
