"""COCO files of other people, and what is refused of them."""

import json

import pytest

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.errors import DataUnreadable
from db.imaging.decode import mask_from_png
from db.records import LocationStatus
from tests.picture_files import H, W, picture


def coco_file(folder, **changes):
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": W, "height": H}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0}],
        "categories": [{"id": 3, "name": "benign"}],
    } | changes
    picture(folder / "a.png")
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


def annotation(**changes):
    return {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0} | changes


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"annotations": [annotation(bbox=[1, 2, 3])]}, "expected four numbers"),
        ({"annotations": [annotation(bbox=[1, 2, "x", 4])]}, "expected four numbers"),
        ({"annotations": [annotation(bbox=[1, 2, float("nan"), 4])]}, "not finite"),
        ({"annotations": [annotation(bbox=[60, 2, 30, 4])]}, "lies by 87% outside the 64x48 image"),
        ({"annotations": [annotation(bbox=[1, 2, -3, 4])]}, "is empty: its width"),
        ({"annotations": [annotation(category_id=9)]}, "category_id 9"),
        ({"annotations": [annotation(), annotation(category_id=4)],
          "categories": [{"id": 3, "name": "benign"}, {"id": 4, "name": "malignant"}]}, "several classes"),
        ({"images": [{"id": 1, "file_name": "a.png", "width": H, "height": W}]}, "before it was rotated"),
        ({"images": [{"id": 1, "file_name": "../../etc/passwd"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "s3://bucket/a.png"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, "no such image in .*--images DIR"),
        ({"images": [{"id": 1}]}, "no file_name"),
        ({"annotations": [annotation(segmentation={"size": [H, W], "counts": "%%%"})]}, "segmentation|mask"),
        ({"annotations": [annotation(segmentation={"size": [9, 9], "counts": [81]})]}, "a mask is|segmentation"),
    ],
)  # fmt: skip
def test_a_bad_coco_image_is_refused_and_the_good_one_registered(registry, tmp_path, changes, reason):
    folder = coco_file(tmp_path / "coco", **changes)
    document = json.loads((folder / "instances.json").read_text())
    document["images"].append({"id": 77, "file_name": "good.png"})
    picture(folder / "good.png", 5)
    (folder / "instances.json").write_text(json.dumps(document))
    report = import_images(registry, ImportRequest(folder, "coco"))
    assert report.registered == 1
    (refused,) = report.refused
    import re

    assert re.search(reason, refused.reason), refused.reason


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"images": []}', '{"images": [1], "annotations": [], "categories": []}']
)
def test_what_is_no_coco_cannot_be_read(registry, tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataUnreadable, match=r"bad\.json"):
        import_images(registry, ImportRequest(tmp_path / "bad.json", "coco"))


def test_coco_polygons_and_run_lengths_become_masks(registry, tmp_path):
    polygon = [[10, 10, 30, 10, 30, 20, 10, 20], [40, 30, 50, 30, 45, 40]]
    folder = coco_file(
        tmp_path / "coco",
        annotations=[annotation(bbox=[10, 10, 40, 30], segmentation=polygon)],
    )
    import_images(registry, ImportRequest(folder, "coco"))
    with registry.read() as tx:
        (image,) = tx.images.select()
        mask = mask_from_png(tx.labels.mask_pngs([image.label.id])[image.label.id])
    assert mask[10:20, 10:30].all()
    assert mask[30, 42]
    assert 200 < mask.sum() < 280


def test_coco_that_does_not_say_whether_somebody_looked_leaves_it_unknown(registry, tmp_path):
    report = import_images(registry, ImportRequest(coco_file(tmp_path / "coco", annotations=[]), "coco"))
    assert any("does not record whether anyone looked" in warning for warning in report.warnings)
    with registry.read() as tx:
        assert tx.images.select()[0].location_status is LocationStatus.UNKNOWN
