"""A data set that has everything that people label: boxes, masks, nothing, and images nobody has looked at."""

import csv

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from tests.picture_files import H, W, mask_file, picture


@pytest.fixture
def data(tmp_path):
    """Boxes, a mask with two parts, a confirmed empty one, an unknown one, one without a class; odd names."""
    folder = tmp_path / "data"
    for n, name in enumerate(["boxes.png", "mask ü.png", "empty.png", "unknown.png", "no class.png", 'qu"o,te.png']):
        picture(folder / "images" / name, n)
    mask_file(folder / "masks" / "m.png", (5, 6, 20, 10), (40, 30, 12, 12))
    rows = [
        {"image": "images/boxes.png", "class": "benign", "x": 1.5, "y": 2, "width": 30.25, "height": 20, "group": "p1"},
        {"image": "images/boxes.png", "class": "benign", "x": 40, "y": 30, "width": 10, "height": 10, "group": "p1"},
        {"image": "images/mask ü.png", "class": "malignant", "mask": "masks/m.png", "split": "test"},
        {"image": "images/empty.png", "class": "normal", "location": "empty", "split": "val"},
        {"image": "images/unknown.png", "class": "benign"},
        {"image": "images/no class.png", "location": "empty"},
        {"image": 'images/qu"o,te.png', "class": "benign", "x": 0, "y": 0, "width": W, "height": H, "split": "train"},
    ]
    columns = ["image", "class", "mask", "x", "y", "width", "height", "group", "split", "location"]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def filled(registry, data):
    report = import_images(registry, ImportRequest(data, "csv"))
    assert (report.registered, report.refused) == (6, [])
    return registry
