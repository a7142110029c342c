"""YOLO sets of other people, and what is refused of them."""

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.imaging.decode import mask_from_png
from db.records import Box, Split
from tests.picture_files import picture


def yolo_set(folder, lines, names="names: [benign, malignant]\n"):
    picture(folder / "images/train/a.png")
    (folder / "labels/train").mkdir(parents=True)
    (folder / "labels/train/a.txt").write_text(lines)
    if names:
        (folder / "data.yaml").write_text(names)
    return folder


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("0 .5 .5 .2\n", "line of 4 numbers"),
        ("0 .5 .5 .2 x\n", "cannot be read"),
        ("0 .5 .5 .2 inf\n", "not finite"),
        ("0.5 .5 .5 .2 .2\n", "as a class"),
        ("0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n", "several classes"),
        ("0 1.05 .5 .2 .2\n", "lies by 75% outside"),
    ],
)
def test_bad_yolo_labels_are_refused_with_the_reason(registry, tmp_path, lines, reason):
    report = import_images(registry, ImportRequest(yolo_set(tmp_path / "yolo", lines), "yolo"))
    assert reason in report.refused[0].reason


def test_yolo_boxes_polygons_and_names(registry, tmp_path):
    folder = yolo_set(
        tmp_path / "yolo", "1 .25 .25 .5 .5 .5 .25\n1 .5 .5 .25 .5\n".replace("1 .25 .25 .5 .5 .5 .25\n", "")
    )
    picture(folder / "images/val/polygon.png", 2)
    (folder / "labels/val").mkdir()
    (folder / "labels/val/polygon.txt").write_text("0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n")
    assert import_images(registry, ImportRequest(folder, "yolo")).refused == []
    with registry.read() as tx:
        images = {image.path.name: image for image in tx.images.select()}
        mask = mask_from_png(tx.labels.mask_pngs([images["polygon.png"].label.id])[images["polygon.png"].label.id])
    assert images["a.png"].class_name == "malignant"
    assert images["a.png"].boxes == (Box(24, 12, 16, 24),)
    assert (images["polygon.png"].split, images["polygon.png"].boxes) == (Split.VAL, (Box(16, 12, 32, 24),))
    assert mask[12:36, 16:48].all()
    assert mask.sum() == 24 * 32


def test_yolo_without_names_calls_classes_by_number(registry, tmp_path):
    report = import_images(registry, ImportRequest(yolo_set(tmp_path / "yolo", "1 .5 .5 .2 .2\n", names=None), "yolo"))
    assert any("numbers" in warning for warning in report.warnings)
    with registry.read() as tx:
        assert tx.images.class_names() == ["1"]
