"""Every format that is written: round trips, and what other libraries make of our files."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from annotator.datasets.export_images import ExportRequest, export_images
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.errors import Conflict, InvalidArgument
from db.imaging.decode import mask_from_png
from db.records import Box, LocationSource, LocationStatus, NewLabel, Split
from db.registry import create_registry
from tests.builders import add_run_with_proposal
from tests.picture_files import H, W, picture

FORMATS = ["coco", "csv", "voc", "yolo"]


def fresh(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    return create_registry(f"sqlite:///{folder}/r.sqlite3", folder)


def facts(registry):
    """What is known, by content: names change in an export."""
    with registry.read() as tx:
        images = tx.images.select()
        masks = tx.labels.mask_pngs([image.label.id for image in images if image.label])
    return {
        image.content_hash: (
            image.class_name,
            image.group,
            image.split,
            image.location_status,
            image.boxes,
            mask_from_png(masks[image.label.id]).tolist() if image.label and image.label.id in masks else None,
        )
        for image in images
    }


def assert_same(found, expected, layout):
    assert found.keys() == expected.keys()
    for key, (class_name, group, split, status, boxes, mask) in found.items():
        want = expected[key]
        if layout == "yolo":
            # A label file has boxes, not masks.
            want = (*want[:5], None)
        assert (class_name, group, split, status, mask) == (*want[:4], want[5])
        assert len(boxes) == len(want[4])
        for box, expected_box in zip(boxes, want[4], strict=True):
            for side in ("x", "y", "width", "height"):
                assert getattr(box, side) == pytest.approx(getattr(expected_box, side), abs=1e-6)


@pytest.mark.parametrize("layout", FORMATS)
def test_what_is_written_reads_back_the_same(filled, tmp_path, layout):
    report = export_images(filled, ExportRequest(tmp_path / "out", layout, unlabeled=True))
    assert (report.images, report.present, report.empty, report.unknown, report.boxes) == (6, 3, 2, 1, 5)
    again = fresh(tmp_path, "again")
    imported = import_images(again, ImportRequest(tmp_path / "out", layout))
    assert (imported.registered, imported.refused) == (6, [])
    assert_same(facts(again), facts(filled), layout)
    again.close()


@pytest.mark.parametrize("layout", FORMATS)
def test_only_what_is_known_is_written_and_empty_differs_from_not_labeled(filled, tmp_path, layout):
    report = export_images(filled, ExportRequest(tmp_path / "out", layout))
    assert (report.images, report.empty, report.unknown) == (5, 2, 0)
    again = fresh(tmp_path, "again")
    import_images(again, ImportRequest(tmp_path / "out", layout))
    with again.read() as tx:
        assert tx.status.count().locations == {"present": 3, "confirmed_empty": 2, "unknown": 0}
    again.close()


@pytest.mark.parametrize("layout", FORMATS)
def test_a_proposal_is_written_only_when_asked_for_and_says_so(filled, tmp_path, layout):
    with filled.read() as tx:
        (unknown,) = [image for image in tx.images.select() if image.location_status is LocationStatus.UNKNOWN]
    add_run_with_proposal(filled, unknown.id, Box(3, 4, 5, 6))
    assert export_images(filled, ExportRequest(tmp_path / "without", layout)).proposed == 0
    report = export_images(filled, ExportRequest(tmp_path / "with", layout, proposals=True))
    assert (report.proposed, report.images) == (1, 6)
    texts = [file.read_text() for file in (tmp_path / "with").rglob("*") if file.suffix in {".json", ".csv", ".xml"}]
    assert any("proposed" in text and "run-1" in text for text in texts)
    with pytest.raises(InvalidArgument, match="snapshot"):
        export_images(filled, ExportRequest(tmp_path / "x", layout, proposals=True, snapshot="abcdef"))


def tree(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("layout", FORMATS)
def test_a_snapshot_is_written_the_same_after_everything_has_changed(filled, tmp_path, layout):
    first = export_images(filled, ExportRequest(tmp_path / "first", layout, unlabeled=True))
    with filled.begin() as tx:
        for image in tx.images.select():
            if image.split is not Split.TEST:
                location = image.label
                tx.labels.append(NewLabel(image.id, _anything(), source=LocationSource.IMPORTED))
                tx.images.set_facts(image.id, class_name="other", group="g", split=Split.TRAIN)
                assert location is None or location.revision == 1
    second = export_images(
        filled, ExportRequest(tmp_path / "second", layout, unlabeled=True, snapshot=first.snapshot[7:19])
    )
    assert tree(tmp_path / "second") == tree(tmp_path / "first")
    assert second.snapshot == first.snapshot
    assert export_images(filled, ExportRequest(tmp_path / "third", layout)).snapshot != first.snapshot


def _anything():
    from tests.builders import present

    return present(Box(0, 0, 9, 9))


def test_an_export_replaces_only_an_export(filled, tmp_path):
    out = tmp_path / "out"
    export_images(filled, ExportRequest(out, "csv"))
    before = tree(out)
    export_images(filled, ExportRequest(out, "csv"))
    assert tree(out) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("x")
    with pytest.raises(Conflict, match="not a partly export"):
        export_images(filled, ExportRequest(tmp_path / "mine", "csv"))
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["precious.txt"]
    assert export_images(filled, ExportRequest(tmp_path / "none", "csv"), dry_run=True).images == 5
    assert not (tmp_path / "none").exists()


def test_images_that_are_gone_or_changed_are_named_and_the_others_written(filled, data, tmp_path):
    (data / "images" / "empty.png").unlink()
    picture(data / "images" / "boxes.png", seed=99)
    report = export_images(filled, ExportRequest(tmp_path / "out", "coco"))
    assert sorted(item.reason for item in report.skipped) == [
        "no such file",
        "the file's content has changed since it was registered",
    ]
    assert report.images == 3


def test_an_image_that_others_would_turn_differently_is_written_upright(registry, tmp_path):
    folder = tmp_path / "turned"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "a.jpg", exif=exif, quality=95)
    (folder / "labels.csv").write_text("image,class,x,y,width,height\na.jpg,benign,1,2,10,30\n")
    assert import_images(registry, ImportRequest(folder, "csv")).refused == []
    export_images(registry, ExportRequest(tmp_path / "out", "coco"))
    document = json.loads((tmp_path / "out" / "annotations.json").read_text())
    (image,) = document["images"]
    with Image.open(tmp_path / "out" / "images" / image["file_name"]) as written:
        assert (written.size, written.getexif().get(0x0112)) == ((20, 40), None)
    assert (image["width"], image["height"]) == (20, 40)


def test_files_of_the_same_name_do_not_replace_each_other(registry, tmp_path):
    for n, side in enumerate("ab"):
        picture(tmp_path / "set" / side / "scan.png", n)
    import_images(registry, ImportRequest(tmp_path / "set", "folders"))
    report = export_images(registry, ExportRequest(tmp_path / "out", "csv", unlabeled=True))
    assert (report.images, report.skipped) == (2, [])
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2


# --- other libraries read what we write


def test_pycocotools_reads_our_coco(filled, tmp_path, capsys):
    from pycocotools.coco import COCO

    export_images(filled, ExportRequest(tmp_path / "out", "coco", unlabeled=True))
    coco = COCO(str(tmp_path / "out" / "annotations.json"))
    capsys.readouterr()
    images = {image["file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert {name: image["partly"]["location"] for name, image in images.items()} == {
        "boxes.png": "present", "mask_ü.png": "present", "empty.png": "empty", "unknown.png": "unknown",
        "no_class.png": "empty", "qu_o_te.png": "present",
    }  # fmt: skip
    own = coco.loadAnns(coco.getAnnIds(imgIds=[images["mask_ü.png"]["id"]]))
    whole = np.logical_or.reduce([coco.annToMask(annotation) for annotation in own])
    expected = np.zeros((H, W), dtype=bool)
    expected[6:16, 5:25] = expected[30:42, 40:52] = True
    assert (whole == expected).all()
    assert sum(annotation["area"] for annotation in own) == expected.sum()
    (first, _) = coco.loadAnns(coco.getAnnIds(imgIds=[images["boxes.png"]["id"]]))
    assert first["bbox"] == [1.5, 2, 30.25, 20]
    assert {category["name"] for category in coco.loadCats(coco.getCatIds())} == {"benign", "malignant", "normal"}


def by_name(dataset):
    from pathlib import Path

    return {Path(path).name: detections.xyxy.tolist() for path, _, detections in dataset}


BOXES = {"boxes.png": [[1.5, 2, 31.75, 22], [40, 30, 50, 40]], "qu_o_te.png": [[0, 0, W, H]]}


@pytest.mark.filterwarnings("ignore")
def test_supervision_reads_our_coco_yolo_and_voc(filled, tmp_path):
    import supervision as sv

    for layout in ("coco", "yolo", "voc"):
        export_images(filled, ExportRequest(tmp_path / layout, layout))
    coco = sv.DetectionDataset.from_coco(str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations.json"))
    yolo = sv.DetectionDataset.from_yolo(
        str(tmp_path / "yolo/images/train"), str(tmp_path / "yolo/labels/train"), str(tmp_path / "yolo/data.yaml")
    )
    voc = sv.DetectionDataset.from_pascal_voc(str(tmp_path / "voc/JPEGImages"), str(tmp_path / "voc/Annotations"))
    for dataset in (coco, yolo, voc):
        found = by_name(dataset)
        for name, boxes in BOXES.items():
            assert np.allclose(found[name], boxes, atol=1e-3), (dataset, name)
    assert by_name(coco)["empty.png"] == by_name(voc)["empty.png"] == []
    assert by_name(voc)["mask_ü.png"] == [[5, 6, 25, 16], [40, 30, 52, 42]] or len(by_name(voc)["mask_ü.png"]) == 2
    assert set(coco.classes) >= {"benign", "malignant", "normal"}


def test_yolo_says_that_it_has_no_place_for_masks(filled, tmp_path):
    for layout, said in (("yolo", True), ("coco", False), ("csv", False), ("voc", False)):
        report = export_images(filled, ExportRequest(tmp_path / layout, layout))
        assert bool(report.warnings) is said, layout
    planned = export_images(filled, ExportRequest(tmp_path / "yolo", "yolo"), dry_run=True)
    assert " a mask, of which" in planned.warnings[0]


def test_yolo_tells_empty_by_an_empty_file_and_unknown_by_none(filled, tmp_path):
    export_images(filled, ExportRequest(tmp_path / "out", "yolo", unlabeled=True))
    assert (tmp_path / "out/labels/val/empty.txt").read_text() == ""
    assert (tmp_path / "out/images/train/unknown.png").is_file()
    assert not (tmp_path / "out/labels/train/unknown.txt").exists()
    document = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert document["names"] == {0: "benign", 1: "malignant", 2: "normal"}
    assert (document["train"], document["val"], document["test"]) == ("images/train", "images/val", "images/test")


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_formats_that_find_labels_by_the_images_need_them(filled, tmp_path, layout):
    with pytest.raises(InvalidArgument, match="--images copy"):
        export_images(filled, ExportRequest(tmp_path / "out", layout, images="none"))
    assert not (tmp_path / "out").exists()


def test_originals_can_be_named_instead_of_copied(filled, data, tmp_path):
    export_images(filled, ExportRequest(tmp_path / "out", "coco", images="none"))
    assert not (tmp_path / "out" / "images").exists()
    again = fresh(tmp_path, "again")
    report = import_images(again, ImportRequest(tmp_path / "out" / "annotations.json", "coco", images=tmp_path))
    assert (report.registered, report.refused) == (5, [])
    again.close()
