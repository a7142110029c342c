"""Readers and writers: round trips, what other libraries make of our files, and what is refused and why."""

import csv
import json

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from annotator.datasets.export_images import ExportRequest, export_images
from annotator.datasets.formats.export_set import masks_by_box
from annotator.datasets.import_images import ImportRequest, import_images
from annotator.errors import DataUnreadable
from db.errors import Conflict, InvalidArgument
from db.imaging.decode import mask_from_png
from db.records import Box, LocationSource, LocationStatus, NewLabel, Split
from db.registry import create_registry
from tests.builders import add_run_with_proposal

FORMATS = ["coco", "csv", "voc", "yolo"]
W, H = 64, 48


def picture(path, seed=0, size=(W, H)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


def mask_file(path, *rectangles, size=(W, H)):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((size[1], size[0]), dtype=np.uint8)
    for x, y, w, h in rectangles:
        mask[y : y + h, x : x + w] = 255
    Image.fromarray(mask).save(path)


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
            # YOLO's images lie in a split's folder; one without a split is for training. It has boxes, not masks.
            want = (*want[:2], want[2] or Split.TRAIN, *want[3:5], None)
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
    with pytest.raises(Conflict, match="not an export"):
        export_images(filled, ExportRequest(tmp_path / "mine", "csv"))
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["precious.txt"]
    assert export_images(filled, ExportRequest(tmp_path / "none", "csv"), dry_run=True).images == 5
    assert not (tmp_path / "none").exists()


def test_images_that_are_gone_or_changed_are_named_and_the_others_written(filled, data, tmp_path):
    (data / "images" / "empty.png").unlink()
    picture(data / "images" / "boxes.png", seed=99)
    report = export_images(filled, ExportRequest(tmp_path / "out", "coco"))
    assert sorted(item.reason for item in report.skipped) == [
        "the file's content has changed since it was registered",
        "there is no such file",
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


# --- what readers make of other people's files


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
        ({"annotations": [annotation(bbox=[60, 2, 30, 4])]}, "beyond the edge"),
        ({"annotations": [annotation(bbox=[1, 2, -3, 4])]}, "is empty or beyond"),
        ({"annotations": [annotation(category_id=9)]}, "category_id 9"),
        ({"annotations": [annotation(), annotation(category_id=4)],
          "categories": [{"id": 3, "name": "benign"}, {"id": 4, "name": "malignant"}]}, "several classes"),
        ({"images": [{"id": 1, "file_name": "a.png", "width": H, "height": W}]}, "before it was turned"),
        ({"images": [{"id": 1, "file_name": "../../etc/passwd"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "s3://bucket/a.png"}]}, "outside the data set's folder"),
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, "no such file"),
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
    assert any("does not say whether somebody looked" in warning for warning in report.warnings)
    with registry.read() as tx:
        assert tx.images.select()[0].location_status is LocationStatus.UNKNOWN


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
        ("0.5 .5 .5 .2 .2\n", "for a class"),
        ("0 .5 .5 .2 .2\n1 .5 .5 .2 .2\n", "several classes"),
        ("0 .95 .5 .2 .2\n", "beyond the edge"),
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


VOC = """<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>
<object><name>benign</name><bndbox><xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>4</ymax></bndbox></object>
</annotation>"""


def voc_set(folder, text):
    picture(folder / "JPEGImages/a.png")
    (folder / "Annotations").mkdir()
    (folder / "Annotations/a.xml").write_text(text)
    return folder


def test_voc_counts_pixels_from_one_and_includes_the_last(registry, tmp_path):
    import_images(registry, ImportRequest(voc_set(tmp_path / "voc", VOC), "voc"))
    with registry.read() as tx:
        (image,) = tx.images.select()
    assert (image.class_name, image.boxes) == ("benign", (Box(0, 2, 10, 2),))


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotation><filename>&a;</filename></annotation>'
SECRET = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation><filename>&a;</filename></annotation>'


@pytest.mark.parametrize("text", ["", "<annotation>", BOMB, SECRET, VOC.replace("<xmin>1", "<xmin>x")])
def test_hostile_or_broken_voc_is_refused(registry, tmp_path, text):
    report = import_images(registry, ImportRequest(voc_set(tmp_path / "voc", text), "voc"))
    assert report.registered == 0
    assert len(report.refused) == 1


def test_voc_of_another_size_is_refused(registry, tmp_path):
    text = VOC.replace("<width>64</width><height>48</height>", "<width>48</width><height>64</height>")
    report = import_images(registry, ImportRequest(voc_set(tmp_path / "voc", text), "voc"))
    assert "before it was turned" in report.refused[0].reason


def test_busi_unites_masks_and_knows_empty_from_unknown(registry, tmp_path):
    folder = tmp_path / "busi"
    picture(folder / "benign" / "benign (1).png", 1)
    mask_file(folder / "benign" / "benign (1)_mask.png", (1, 1, 10, 10))
    mask_file(folder / "benign" / "benign (1)_mask_1.png", (40, 30, 8, 8))
    picture(folder / "normal" / "normal (1).png", 2)
    mask_file(folder / "normal" / "normal (1)_mask.png")
    picture(folder / "malignant" / "malignant (3).png", 3)
    mask_file(folder / "malignant" / "malignant (4)_mask.png", (1, 1, 5, 5))
    report = import_images(registry, ImportRequest(folder, "busi"))
    assert (report.registered, report.refused) == (3, [])
    assert any("without an image" in warning for warning in report.warnings)
    with registry.read() as tx:
        images = {image.class_name: image for image in tx.images.select()}
    assert set(images["benign"].boxes) == {Box(1, 1, 10, 10), Box(40, 30, 8, 8)}
    assert images["normal"].location_status is LocationStatus.EMPTY
    assert images["malignant"].location_status is LocationStatus.UNKNOWN


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4
    ),
    st.integers(0, 2**32 - 1),
)
def test_a_divided_mask_is_whole_again(rectangles, seed):
    mask = np.random.default_rng(seed).random((30, 30)) > 0.7
    parts = masks_by_box(mask, [Box(*rectangle) for rectangle in rectangles])
    assert (np.sum(parts, axis=0) == mask).all()
