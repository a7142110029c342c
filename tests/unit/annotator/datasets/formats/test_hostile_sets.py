"""Data sets made to do harm: links, pipes, numbers that crash C libraries, documents that grow without end."""

import base64
import io
import json
import os
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image
from skimage.draw import polygon2mask

from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.listing.canvas import Canvas
from annotator.datasets.listing.entries import BadEntry
from annotator.datasets.listing.folder import Folder
from annotator.errors import DataUnreadable
from db.errors import ImageUnreadable
from db.imaging import limits
from db.imaging.outlines import fill_outline
from tests.unit.annotator.datasets.formats.test_as_people_write_them import (
    FIRST,
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
    cvat,
    cvat_box,
    drawn,
    export,
    image,
    labelme,
    task,
    via,
    via_regions,
)

SECRET = "root:x:0:0"
AREA = 48 * 64


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "passwd").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "set").mkdir()
    return tmp_path / "outside" / "passwd"


def in_time(work, seconds=10):
    """Run something that must neither hang nor take long; returns what it returns or raises."""
    done = []

    def run():
        try:
            done.append((work(), None))
        except Exception as exc:
            done.append((None, exc))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert done, "it hangs"
    value, exc = done[0]
    if exc is not None:
        raise exc
    return value


# --- links and what is no file


def small_set(root, layout):
    """A data set of two images; returns the file of labels that is of the first, and that of the set."""
    folder = {"voc": "JPEGImages/", "yolo": "images/"}.get(layout, "")
    for n, name in enumerate(("a", "b")):
        picture(root, f"{folder}{name}.png", n)
        if layout == "voc":
            text(root, f"Annotations/{name}.xml", voc())
        if layout == "yolo":
            text(root, f"labels/{name}.txt", yolo())
        if layout == "labelme":
            text(root, f"{name}.json", labelme(drawn("polygon", [[8, 6], [24, 6], [24, 18]]), path=f"{name}.png"))
    own = {"voc": "Annotations/a.xml", "yolo": "labels/a.txt", "labelme": "a.json"}.get(layout)
    of_set = {"yolo": "data.yaml", "coco": "annotations.json", "csv": "labels.csv", "cvat": "annotations.xml"}
    of_set |= {"via": "via.json", "labelstudio": "export.json", "voc": "ImageSets/Main/train.txt"}
    return own, of_set.get(layout)


@pytest.mark.parametrize("layout", ["voc", "yolo", "labelme"])
@pytest.mark.parametrize("kind", ["outside", "device", "pipe", "folder"])
def test_a_label_file_that_is_none_of_the_sets_own_loses_its_image_alone(secret, tmp_path, layout, kind):
    root = tmp_path / "set"
    own, _ = small_set(root, layout)
    (root / own).unlink()
    if kind == "pipe":
        os.mkfifo(root / own)
    else:
        (root / own).symlink_to({"outside": secret, "device": "/dev/zero", "folder": secret.parent}[kind])
    opened, refused, remarks = in_time(lambda: found(root, layout))
    assert [name.rpartition("/")[2] for name in opened if opened[name][2]] == ["b.png"]
    assert SECRET not in json.dumps([list(opened), refused, remarks])
    if kind != "folder":
        (reason,) = refused.values()
        assert {"outside": "outside the data set", "device": "outside", "pipe": "is a pipe"}[kind] in reason


@pytest.mark.parametrize("layout", ["yolo", "coco", "csv", "cvat", "via", "labelstudio", "voc"])
@pytest.mark.parametrize("kind", ["outside", "device", "pipe"])
def test_a_file_of_the_whole_set_that_is_none_of_its_own_is_named(secret, tmp_path, layout, kind):
    root = tmp_path / "set"
    _, of_set = small_set(root, layout)
    (root / of_set).parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(root / of_set)
    else:
        (root / of_set).symlink_to({"outside": secret, "device": "/dev/zero"}[kind])
    for path in {root, root / of_set} if layout not in ("voc", "yolo") else {root}:
        with pytest.raises(DataUnreadable) as caught:
            in_time(lambda path=path: read_layout(layout, path))
        assert SECRET not in str(caught.value)
    with suppress(DataUnreadable):
        in_time(lambda: recognise(root))


@pytest.mark.parametrize("name", ["classes.txt", "obj.names", "labels/classes.txt"])
def test_names_of_classes_are_not_read_through_a_link(secret, tmp_path, name):
    small_set(tmp_path / "set", "yolo")
    (tmp_path / "set" / name).symlink_to(secret)
    with pytest.raises(DataUnreadable, match="outside the data set's folder"):
        read_layout("yolo", tmp_path / "set")


@pytest.mark.parametrize("said", ["../outside/passwd", "{outside}", "./../outside/passwd"])
@pytest.mark.parametrize("key", ["names", "train"])
def test_a_yaml_file_names_no_file_outside_the_folder(secret, tmp_path, said, key):
    root = tmp_path / "set"
    small_set(root, "yolo")
    place = said.format(outside=secret)
    (secret.parent / "list.txt").write_text(SECRET)
    if key == "names":
        text(root, "data.yaml", f"names: {place}\n")
        with pytest.raises(DataUnreadable, match="data set's folder") as caught:
            read_layout("yolo", root)
        assert SECRET not in str(caught.value)
    else:
        text(root, "data.yaml", f"names: [benign]\ntrain: {place.replace('passwd', 'list.txt')}\n")
        assert SECRET not in str(found(root, "yolo"))


def test_a_link_that_stays_inside_is_followed(tmp_path):
    small_set(tmp_path, "yolo")
    (tmp_path / "names").mkdir()
    text(tmp_path, "names/list", "benign\n")
    (tmp_path / "classes.txt").symlink_to("names/list")
    (tmp_path / "labels" / "a.txt").unlink()
    (tmp_path / "labels" / "a.txt").symlink_to("b.txt")
    opened, refused, _ = found(tmp_path, "yolo")
    assert refused == {}
    assert opened["images/a.png"] == ("benign", None, [FIRST])


def test_what_became_a_link_after_the_folder_was_looked_at_is_not_followed(secret, tmp_path):
    folder = Folder(tmp_path / "set")
    (tmp_path / "set" / "a.txt").write_text("x")
    assert folder.read("a.txt") == b"x"
    (tmp_path / "set" / "a.txt").unlink()
    (tmp_path / "set" / "a.txt").symlink_to(secret)
    with pytest.raises(ImageUnreadable):
        folder.read("a.txt")


def test_a_label_file_beyond_the_limit_loses_its_image_alone(tmp_path):
    own, _ = small_set(tmp_path, "voc")
    with (tmp_path / own).open("r+b") as stream:
        stream.truncate(limits.LABEL_BYTES + 1)
    opened, refused, _ = found(tmp_path, "voc")
    assert list(opened) == ["JPEGImages/b.png"]
    assert "the limit for such a file is 64 MB" in refused["JPEGImages/a.png"]


# --- documents that grow, or are deep


def test_a_yaml_file_with_aliases_is_not_read(tmp_path):
    small_set(tmp_path, "yolo")
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    text(tmp_path, "data.yaml", "\n".join([*lines, "names: [*a8]"]))
    with pytest.raises(DataUnreadable, match="alias"):
        in_time(lambda: read_layout("yolo", tmp_path))


@pytest.mark.parametrize("content", ["[" * 100_000, "names: " + "[" * 50 + "]" * 50, "- " * 5000 + "a"])
def test_a_yaml_file_that_is_nested_without_end_is_not_read(tmp_path, content):
    small_set(tmp_path, "yolo")
    text(tmp_path, "data.yaml", content)
    with pytest.raises(DataUnreadable, match=r"data\.yaml"):
        in_time(lambda: read_layout("yolo", tmp_path))
    text(tmp_path, "data.yaml", "names: [" + "a, " * (limits.YAML_BYTES // 3) + "]")
    with pytest.raises(DataUnreadable, match="the limit for such a file is 1 MB"):
        read_layout("yolo", tmp_path)


@pytest.mark.parametrize("layout", ["coco", "via", "labelstudio", "labelme"])
@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"a":' * 200_000, "9" * 10_000, '[{"a":' + "[" * 900 + "]" * 900 + "}]"]
)
def test_json_that_is_nested_without_end_is_refused(tmp_path, layout, content):
    _, of_set = small_set(tmp_path, layout)
    text(tmp_path, of_set or "a.json", content)
    if of_set is None:
        opened, _, _ = in_time(lambda: found(tmp_path, layout))
        assert "b.png" in opened
        return
    with pytest.raises(DataUnreadable, match=of_set):
        in_time(lambda: read_layout(layout, tmp_path))


def test_a_via_row_that_is_nested_without_end_loses_its_image_alone(tmp_path):
    small_set(tmp_path, "via")
    deep = "[" * 60_000
    rows = f'a.png,"{deep}",{{}},{{}}\nb.png,"{{}}",{{}},{{}}\n'
    text(tmp_path, "via.csv", "filename,region_shape_attributes,region_attributes,file_attributes\n" + rows)
    opened, refused, _ = found(tmp_path, "via")
    assert (list(opened), list(refused)) == (["b.png"], ["a.png"])


def test_a_cell_without_end_names_the_limit(tmp_path):
    text(tmp_path, "labels.csv", 'image,class\n"' + "a" * 1_000_000)
    with pytest.raises(DataUnreadable, match="131072"):
        read_layout("csv", tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        '<!DOCTYPE a [<!ENTITY x "yyyyyyyy">]><annotation>&x;</annotation>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "<annotation>" + "<a>" * 200_000,
        "<annotation " + " ".join(f'a{n}=""' for n in range(100_000)) + "/>",
        "<annotation>" + "<a>" * 100_000 + "</a>" * 100_000 + "</annotation>",
    ],
    ids=["entity", "file", "open", "attributes", "deep"],
)
def test_xml_that_blows_up_takes_no_time_and_no_other_image(tmp_path, content):
    own, _ = small_set(tmp_path, "voc")
    text(tmp_path, own, content)
    opened, _, _ = in_time(lambda: found(tmp_path, "voc"))
    assert opened["JPEGImages/b.png"][2] == [FIRST]


# --- namespaces


def test_voc_in_a_namespace_is_read_and_not_empty(tmp_path):
    own, _ = small_set(tmp_path, "voc")
    text(tmp_path, own, voc().replace("<annotation>", '<annotation xmlns="http://example.com/voc">', 1))
    opened, refused, _ = found(tmp_path, "voc")
    assert refused == {}
    assert opened["JPEGImages/a.png"] == ("benign", None, [FIRST])
    prefixed = voc().replace("</", "</v:").replace("<", "<v:").replace("<v:/v:", "</v:")
    text(tmp_path, own, prefixed.replace("<v:annotation>", '<v:annotation xmlns:v="http://example.com/voc">', 1))
    assert found(tmp_path, "voc")[0]["JPEGImages/a.png"] == ("benign", None, [FIRST])


@pytest.mark.parametrize(
    "content",
    [
        "<project><name>x</name></project>",
        f"<annotation><objects>{voc()}</objects></annotation>",
        voc().replace("object", "Object"),
    ],
)
def test_xml_that_is_not_voc_does_not_say_that_there_is_nothing(tmp_path, content):
    own, _ = small_set(tmp_path, "voc")
    text(tmp_path, own, content)
    opened, refused, _ = found(tmp_path, "voc")
    assert list(opened) == ["JPEGImages/b.png"]
    assert "annotation file" in refused["JPEGImages/a.png"]


def test_cvat_in_a_namespace_is_read(tmp_path):
    picture(tmp_path, "a.png")
    cvat(tmp_path, image("a.png", cvat_box()))
    content = (tmp_path / "annotations.xml").read_text()
    text(tmp_path, "annotations.xml", content.replace("<annotations>", '<annotations xmlns="http://cvat.ai/1.1">'))
    assert found(tmp_path, "cvat")[0]["a.png"] == ("benign", None, [FIRST])


# --- numbers


BAD = [float("nan"), float("inf"), -float("inf"), 1e300, -1e15, 2**63, 10**400]


@pytest.mark.parametrize("layout", ["coco", "yolo", "cvat", "labelme", "via", "labelstudio"])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad:.4}" if isinstance(bad, float) else str(bad)[:4])
def test_an_outline_with_a_number_that_makes_no_sense_loses_its_image_alone(tmp_path, layout, bad):
    outlines = {"a": [(bad, 6), (24, 6), (24, 18)], "b": [(8, 6), (24, 6), (24, 18)]}
    folder = "images/" if layout == "yolo" else ""
    for n, name in enumerate(outlines):
        picture(tmp_path, f"{folder}{name}.png", n)
    if layout == "coco":
        items = [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate(outlines)]
        flat = [[value for corner in corners for value in corner] for corners in outlines.values()]
        notes = [annotation(id=n, image_id=n, segmentation=[values]) for n, values in enumerate(flat)]
        text(tmp_path, "annotations.json", coco(notes, items))
    for name, corners in outlines.items():
        if layout == "yolo":
            values = " ".join(f"{x / 64 if x is not bad else bad} {y / 48}" for x, y in corners)
            text(tmp_path, f"labels/{name}.txt", f"0 {values}\n")
        if layout == "labelme":
            text(tmp_path, f"{name}.json", labelme(drawn("polygon", corners), path=f"{name}.png"))
    if layout == "cvat":
        points = {name: ";".join(f"{x},{y}" for x, y in corners) for name, corners in outlines.items()}
        shapes = {name: f'<polygon label="x" points="{said}"></polygon>' for name, said in points.items()}
        cvat(tmp_path, *(image(f"{name}.png", shape) for name, shape in shapes.items()))
    if layout == "via":
        each = {
            name: {"name": "polygon", "all_points_x": [x for x, _ in corners], "all_points_y": [y for _, y in corners]}
            for name, corners in outlines.items()
        }
        via(tmp_path, {f"{name}.png": (via_regions((shape, {"type": "x"})), {}) for name, shape in each.items()})
    if layout == "labelstudio":
        each = {
            name: {"type": "polygonlabels", "id": "r", "original_width": 64, "original_height": 48,
                   "value": {"points": [[x, y] for x, y in corners], "polygonlabels": ["x"]}}
            for name, corners in outlines.items()
        }  # fmt: skip
        export(tmp_path, *(task(f"{name}.png", submitted(region)) for name, region in each.items()))
    opened, refused, _ = in_time(lambda: found(tmp_path, layout))
    assert ([name[-5:] for name in opened], [name[-5:] for name in refused]) == (["b.png"], ["a.png"]), refused


def packed(counts):
    """COCO's packed run lengths, as pycocotools writes them."""
    letters = ""
    for place, count in enumerate(counts):
        number = count - counts[place - 2] if place > 2 else count
        while True:
            low, number = number & 0x1F, number >> 5
            more = number != (-1 if low & 0x10 else 0)
            letters += chr(low + (0x20 if more else 0) + 48)
            if not more:
                break
    return letters


def test_packed_run_lengths_are_read_as_pycocotools_reads_them(tmp_path):
    from pycocotools import mask as codec

    rng = np.random.default_rng(0)
    for trial in range(30):
        mask = rng.random((48, 64)) < rng.random()
        encoded = codec.encode(np.asfortranarray(mask, dtype=np.uint8))
        picture(tmp_path, "a.png")
        said = {"size": [48, 64], "counts": encoded["counts"].decode()}
        text(tmp_path, "annotations.json", coco([annotation(bbox=[0, 0, 64, 48], segmentation=said)]))
        (entry,) = read_layout("coco", tmp_path).entries
        assert (entry.draw(64, 48).mask_HW == mask).all(), trial


@pytest.mark.parametrize(
    "counts",
    [
        [AREA + 1], [AREA - 1], [10, -5, AREA - 5], [2**40], [0.5, AREA - 0.5], [None], ["x"], [float("nan")],
        packed([AREA + 1]), packed([2**31, 5]), packed([10, 2**33, AREA - 10]), packed([100, AREA - 100])[:-1] + "o",
        "o" * 50, "\u00fc", "P" * 200_000,
    ],
    ids=str,
)  # fmt: skip
def test_run_lengths_that_do_not_fill_the_image_never_reach_a_decoder(tmp_path, counts):
    for n, name in enumerate(("a.png", "b.png")):
        picture(tmp_path, name, n)
    items = [{"id": n, "file_name": name} for n, name in enumerate(("a.png", "b.png"))]
    bad = annotation(id=0, image_id=0, segmentation={"size": [48, 64], "counts": counts})
    text(tmp_path, "annotations.json", coco([bad, annotation(id=1, image_id=1)], items))
    opened, refused, _ = in_time(lambda: found(tmp_path, "coco"))
    assert (list(opened), list(refused)) == (["b.png"], ["a.png"])


@pytest.mark.parametrize("size", [[2**31, 2**31], [48], None, ["x", 1], [-48, 64], [1e300, 1e300]])
def test_a_mask_of_another_size_never_reaches_a_decoder(tmp_path, size):
    picture(tmp_path, "a.png")
    said = {"size": size, "counts": [48 * 64]}
    text(tmp_path, "annotations.json", coco([annotation(segmentation=said)]))
    assert list(found(tmp_path, "coco")[1]) == ["a.png"]


def test_many_outlines_are_united_in_one_mask(tmp_path):
    picture(tmp_path, "a.png")
    boxes = [(4 * (n % 15), 4 * (n // 15), 3, 2) for n in range(150)]
    notes = [
        annotation(id=n, bbox=list(box), segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h, x, y]])
        for n, box in enumerate(boxes)
        for x, y, w, h in (box,)
    ]
    notes = [note | {"segmentation": [note["segmentation"][0] + [note["bbox"][0], note["bbox"][1]]]} for note in notes]
    text(tmp_path, "annotations.json", coco(notes))
    (entry,) = read_layout("coco", tmp_path).entries
    assert int(entry.draw(64, 48).mask_HW.sum()) == 150 * 6


def test_an_outline_is_filled_as_before_and_in_no_time_by_its_corners():
    rng = np.random.default_rng(3)
    for _ in range(300):
        corners = rng.uniform(-10, 40, (rng.integers(3, 12), 2))
        mask = np.zeros((30, 26), dtype=bool)
        fill_outline(corners, mask)
        assert (mask == polygon2mask((30, 26), corners[:, ::-1] - 0.5)).all()
    angle = np.linspace(0, 2 * np.pi, 60_000, endpoint=False)
    circle = np.stack([500 + 400 * np.cos(angle), 500 + 400 * np.sin(angle)], axis=1)
    started, canvas = time.process_time(), Canvas(1000, 1000)
    canvas.paint_outline(circle)
    assert time.process_time() - started < 2
    assert abs(int(canvas.mask_HW.sum()) - np.pi * 400**2) < 300


def test_an_image_has_no_more_than_the_limits_of_shapes():
    zigzag = [(x, y) for n in range(30_000) for x, y in ((0, n % 7), (999, n % 5))]
    with pytest.raises(BadEntry, match="the limit is 4,194,304"):
        Canvas(1000, 1000).paint_outline(zigzag)
    corners = [(0.0, 0.0), (1000.0, 0.0), (1000.0, 1000.0), (0.0, 1000.0)]
    with pytest.raises(BadEntry, match="cover more than"):
        canvas = Canvas(1000, 1000)
        for _ in range(limits.PAINTED_PX // 1_000_000 + 1):
            canvas.take(1_000_000)
    with pytest.raises(BadEntry, match="more than 1,000,000 corners"):
        Canvas(1000, 1000).outline([(n % 3, n % 2) for n in range(limits.CORNERS + 1)])
    canvas = Canvas(1000, 1000)
    canvas.paint_outline(corners)
    assert canvas.mask_HW.all()


def test_more_boxes_than_an_image_can_have_are_refused(tmp_path):
    small_set(tmp_path, "yolo")
    text(tmp_path, "labels/a.txt", "".join(f"0 0.5 0.5 {0.1 + n * 1e-6} 0.1\n" for n in range(limits.BOXES + 1)))
    opened, refused, _ = found(tmp_path, "yolo")
    assert list(opened) == ["images/b.png"]
    assert "20,001 boxes" in refused["images/a.png"]


def test_a_cvat_mask_of_the_whole_image_is_painted(tmp_path):
    picture(tmp_path, "a.png")
    masks = "".join(
        f'<mask label="x" rle="0,3072" left="0" top="0" width="64" height="48" z_order="{n}"/>' for n in range(9)
    )
    cvat(tmp_path, image("a.png", masks))
    (entry,) = read_layout("cvat", tmp_path).entries
    assert entry.draw(64, 48).mask_HW.all()


def test_a_labelme_mask_that_is_a_bomb_is_refused(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    shape = drawn("mask", [[0, 0], [10, 10]]) | {"mask": base64.b64encode(buffer.getvalue()).decode()}
    small_set(tmp_path, "labelme")
    text(tmp_path, "a.json", labelme(shape, path="a.png"))
    opened, refused, _ = found(tmp_path, "labelme")
    assert list(opened) == ["b.png"]
    assert "178,956,970" in refused["a.png"]


# --- text that no database stores


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
@pytest.mark.parametrize("column", ["class", "group"])
def test_a_class_or_group_that_is_no_text_loses_its_image_alone(tmp_path, odd, column):
    for n, name in enumerate(("a.png", "b.png")):
        picture(tmp_path, name, n)
    facts = {"class": "benign", "location": "empty", column: f"p{odd}1"}
    items = [{"id": 0, "file_name": "a.png", "partly": facts}, {"id": 1, "file_name": "b.png"}]
    text(tmp_path, "annotations.json", coco([], items))
    opened, refused, _ = found(tmp_path, "coco")
    assert list(opened) == ["b.png"]
    assert f"its {column} contains" in refused["a.png"]
