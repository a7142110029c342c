"""Exports of labeling programs: Label Studio, CVAT, labelme, VIA. Numbers worked out by hand for a 64 x 48 image."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from annotator.datasets.decode import open_entry
from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.errors import DataUnreadable
from annotator.shapes.brush import encode_brush
from db.imaging.decode import mask_from_png
from db.records import Split
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text

LESIONS = {"boxes_as": BoxesAs.LESION}


def mask_of(root, layout, name="a.png"):
    """How many pixels of an image are inside, None without a mask."""
    (entry,) = [entry for entry in read_layout(layout, root).entries if entry.path.name == name]
    png = open_entry(entry)[0].location.mask_png
    return int(mask_from_png(png).sum()) if png is not None else None


@pytest.fixture
def two(tmp_path):
    for n, name in enumerate(("images/a.png", "images/b.png")):
        picture(tmp_path, name, n)
    return tmp_path


# --- CVAT


def cvat(root, *images, tracks=""):
    text(root, "annotations.xml", f"<annotations><version>1.1</version>{''.join(images)}{tracks}</annotations>")


def image(name, *shapes, subset="", size=(64, 48)):
    extra = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{name}"{extra} width="{size[0]}" height="{size[1]}">{"".join(shapes)}</image>'


def cvat_box(label="benign", box=FIRST, extra=""):
    x, y, w, h = box
    return f'<box label="{label}" source="manual" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" {extra}></box>'


def test_cvat_boxes_tags_and_subsets(two):
    cvat(
        two,
        image("a.png", '<tag label="malignant"></tag>', cvat_box("lesion"), cvat_box("lesion", SECOND), subset="Train"),
        image("b.png", subset="Validation"),
    )
    opened, refused, warnings = found(two, "cvat")
    assert opened == {
        "a.png": ("malignant", Split.TRAIN, [FIRST, SECOND]),
        "b.png": (None, Split.VAL, None),
    }
    assert (refused, len(warnings)) == ({}, 1)
    assert "1 image has no shape" in warnings[0]
    assert recognise(two)[0] == recognise(two / "annotations.xml")[0] == "cvat"


def test_cvat_one_tag_takes_no_class_of_another_image_in_silence(two):
    cvat(two, image("a.png", cvat_box("benign")), image("b.png", '<tag label="reviewed"></tag>', cvat_box("benign")))
    opened, refused, warnings = found(two, "cvat")
    assert (opened["a.png"], opened["b.png"], refused) == (
        (None, None, [FIRST]),
        ("reviewed", None, [FIRST]),
        {},
    )
    (said,) = [line for line in warnings if "so it has none" in line]
    assert said.startswith(
        "a.png: its boxes have names, but classes are taken from the labels of whole images (reviewed)"
    )
    assert not any("so it has none" in line for line in found(two, "cvat", boxes_as=BoxesAs.LESION)[2])


@pytest.mark.parametrize(
    ("shape", "box", "inside"),
    [
        ('<polygon label="x" points="8.0,6.0;24.0,6.0;24.0,18.0;8.0,18.0"></polygon>', FIRST, 192),
        # Three pixels: row 6 has x 8 and 9, row 7 has x 8.
        ('<mask label="x" rle="0, 3, 1" left="8" top="6" width="2" height="2"></mask>', (8, 6, 2, 2), 3),
        ('<ellipse label="x" cx="16" cy="12" rx="8" ry="6"></ellipse>', FIRST, None),
        # A quarter turn about the centre (16, 12) swaps the sides.
        (cvat_box("x", extra='rotation="90"'), (10, 4, 12, 16), None),
    ],
)
def test_cvat_shapes(two, shape, box, inside):
    cvat(two, image("a.png", shape))
    opened, refused, _ = found(two, "cvat")
    assert (opened["a.png"], refused) == (("x", None, [tuple(map(float, box))]), {})
    if inside is not None:
        assert mask_of(two, "cvat") == inside


def test_cvat_what_cannot_be_used_is_named(two):
    cvat(
        two,
        image("a.png", cvat_box(), '<points label="x" points="1,2"></points>'),
        image("b.png", cvat_box(), size=(48, 64)),
        image("gone.png", cvat_box()),
        tracks='<track id="3" label="lesion"><box frame="0"></box></track>',
    )
    picture(two, "images/unlisted.png")
    opened, refused, warnings = found(two, "cvat")
    assert opened == {"a.png": ("benign", None, [FIRST])}
    assert "48x64" in refused["b.png"]
    assert "no such image" in refused["gone.png"]
    for said in (
        "a.png: a points is neither",
        "track 3 (lesion): it belongs to a video",
        "images/unlisted.png: not listed",
    ):
        assert any(said in warning for warning in warnings), said


@pytest.mark.parametrize(
    "shape",
    [
        '<polygon label="x" points="8,6;24,6"></polygon>',
        '<polygon label="x" points="8,6;24,nan;2,2"></polygon>',
        '<mask label="x" rle="0, 3" left="8" top="6" width="2" height="2"></mask>',
        '<mask label="x" rle="0, 4000000000000" left="0" top="0" width="2000000" height="2000000"></mask>',
        '<mask label="x" rle="4" left="8" top="6" width="2" height="2"></mask>',
        '<box label="x" xtl="a" ytl="1" xbr="2" ybr="2"></box>',
        '<ellipse label="x" cx="1" cy="1" rx="0" ry="1"></ellipse>',
    ],
)
def test_cvat_a_shape_that_makes_no_sense_refuses_its_image_alone(two, shape):
    cvat(two, image("a.png", shape), image("b.png", cvat_box()))
    opened, refused, _ = found(two, "cvat")
    assert (list(opened), list(refused)) == (["b.png"], ["a.png"])
    assert "cannot be read" in refused["a.png"]


def test_cvat_subsets_tell_images_of_the_same_name_apart(tmp_path):
    for n, part in enumerate(("Train", "Test")):
        picture(tmp_path, f"images/{part}/a.png", n)
    cvat(tmp_path, image("a.png", cvat_box("x"), subset="Test"), image("a.png", cvat_box("y", SECOND), subset="Train"))
    listing = read_layout("cvat", tmp_path)
    assert [(entry.path.location.split("/")[-2], entry.class_name, entry.split) for entry in listing.entries] == [
        ("Test", "x", Split.TEST),
        ("Train", "y", Split.TRAIN),
    ]
    cvat(tmp_path, image("a.png", cvat_box("x")))
    assert "may be images/Test/a.png or images/Train/a.png" in read_layout("cvat", tmp_path).refusals[0].reason


# --- labelme


def labelme(*shapes, path="a.png", size=(64, 48), **flags):
    width, height = size
    document = {"version": "5.5.0", "flags": flags, "shapes": list(shapes), "imagePath": path, "imageData": "AAAA"}
    return json.dumps({**document, "imageHeight": height, "imageWidth": width})


def drawn(kind, points, label="benign", **fields):
    return {"label": label, "points": points, "shape_type": kind, "flags": {}, "group_id": None, **fields}


RECTANGLE = drawn("rectangle", [[24.0, 18.0], [8.0, 6.0]])


def test_labelme_files_beside_their_images(tmp_path):
    for n, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        picture(tmp_path, name, n)
    text(tmp_path, "a.json", labelme(RECTANGLE))
    text(tmp_path, "b.json", labelme(path="b.png"), "utf-8-sig")
    text(tmp_path, "c.json", labelme(path="c.png", malignant=True, benign=False))
    opened, refused, warnings = found(tmp_path, "labelme")
    assert opened == {
        "a.png": ("benign", None, [FIRST]),
        "b.png": (None, None, []),
        "c.png": ("malignant", None, None),
        "d.png": (None, None, None),
    }
    assert (refused, len(warnings)) == ({}, 1)
    assert "1 image has a class and no shape" in warnings[0]
    assert recognise(tmp_path)[0] == "labelme"


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, dtype=np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    ("shape", "box", "inside"),
    [
        (drawn("polygon", [[8, 6], [24, 6], [24, 18], [8, 18]]), FIRST, 192),
        (drawn("circle", [[20, 20], [20, 25]]), (15, 15, 10, 10), None),
        (drawn("mask", [[8, 6], [9, 7]], mask=png([[1, 1], [1, 0]])), (8, 6, 2, 2), 3),
        # X-AnyLabeling writes all four corners of a rectangle.
        (drawn("rectangle", [[8, 6], [24, 6], [24, 18], [8, 18]]), FIRST, None),
    ],
)
def test_labelme_shapes(tmp_path, shape, box, inside):
    picture(tmp_path, "a.png")
    text(tmp_path, "a.json", labelme(shape))
    opened, refused, _ = found(tmp_path, "labelme")
    assert (opened["a.png"], refused) == (("benign", None, [tuple(map(float, box))]), {})
    if inside is not None:
        assert mask_of(tmp_path, "labelme") == inside


def test_labelme_files_belong_together_by_folder_and_by_what_they_name(tmp_path):
    for n, name in enumerate(("p1/1.png", "p2/1.png", "p3/other.png")):
        picture(tmp_path, name, n)
    text(tmp_path, "p1/1.json", labelme(RECTANGLE, path="1.png"))
    text(tmp_path, "p3/renamed.json", labelme(RECTANGLE, path="..\\p3\\other.png"))
    text(tmp_path, "p3/lost.json", labelme(RECTANGLE, path="nobody.png"))
    opened, _, warnings = found(tmp_path, "labelme")
    assert {name: boxes for name, (_, _, boxes) in opened.items()} == {
        "p1/1.png": [FIRST], "p2/1.png": None, "p3/other.png": [FIRST],
    }  # fmt: skip
    assert any("p3/renamed.json is used for p3/other.png" in warning for warning in warnings)
    assert any("p3/lost.json: no image belongs to it" in warning for warning in warnings)


@pytest.mark.parametrize(
    "content",
    ["{", '{"shapes": [3]}', labelme(drawn("polygon", [[1, 2]])), labelme(drawn("mask", [[1, 1], [2, 2]], mask="?")),
     labelme(drawn("circle", [[1, 1]])), labelme(RECTANGLE, size=(48, 64)), labelme({"shape_type": "rectangle"}),
     labelme(RECTANGLE, drawn("rectangle", [[1, 1], [9, 9]], "malignant"))],
)  # fmt: skip
def test_labelme_a_file_that_makes_no_sense_refuses_its_image_alone(tmp_path, content):
    for n, name in enumerate("ab"):
        picture(tmp_path, f"{name}.png", n)
        text(tmp_path, f"{name}.json", labelme(RECTANGLE, path=f"{name}.png"))
    text(tmp_path, "a.json", content)
    opened, refused, _ = found(tmp_path, "labelme")
    assert (list(opened), list(refused)) == (["b.png"], ["a.png"])


# --- VIA


def test_labelme_folders_of_splits_are_splits_where_there_are_several(tmp_path):
    for n, place in enumerate(("set/train/a", "set/test/b", "rest/c")):
        picture(tmp_path, f"{place}.png", n)
        text(tmp_path, f"{place}.json", labelme(RECTANGLE, path=f"{place[-1]}.png"))
    opened, _, _ = found(tmp_path, "labelme")
    assert {name: entry[1] for name, entry in opened.items()} == {
        "set/train/a.png": Split.TRAIN,
        "set/test/b.png": Split.TEST,
        "rest/c.png": None,
    }
    opened, _, _ = found(tmp_path / "set" / "test", "labelme")
    assert opened["b.png"][1] is None, "a folder may be called so for other reasons"
    (tmp_path / "set" / "train" / "a.json").unlink()
    (tmp_path / "set" / "train" / "a.png").unlink()
    assert found(tmp_path, "labelme")[0]["set/test/b.png"][1] is None


def via_regions(*regions):
    return [{"shape_attributes": shape, "region_attributes": attributes} for shape, attributes in regions]


RECT = {"name": "rect", "x": 8, "y": 6, "width": 16, "height": 12}


def via(root, images, project=False):
    listed = {
        f"{name}123": {"filename": name, "size": 123, "regions": regions, "file_attributes": attributes}
        for name, (regions, attributes) in images.items()
    }
    document = {"_via_settings": {}, "_via_img_metadata": listed, "_via_attributes": {}} if project else listed
    text(root, "via_region_data.json", json.dumps(document))


@pytest.mark.parametrize("project", [True, False])
def test_via_regions_of_an_export_and_of_a_project(two, project):
    square = {"name": "polygon", "all_points_x": [8, 24, 24, 8], "all_points_y": [6, 6, 18, 18]}
    caption = {"caption": "", "public_domain": "no", "image_url": ""}
    via(
        two,
        {"a.png": (via_regions((square, {"type": "benign"})), caption), "b.png": ([], caption)},
        project,
    )
    opened, refused, warnings = found(two, "via")
    assert opened == {"a.png": ("benign", None, [FIRST]), "b.png": (None, None, None)}
    assert (refused, len(warnings)) == ({}, 1)
    assert mask_of(two, "via") == 192
    assert recognise(two)[0] == "via"


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ({"name": "circle", "cx": 20, "cy": 20, "r": 5}, (15, 15, 10, 10)),
        ({"name": "ellipse", "cx": 16, "cy": 12, "rx": 8, "ry": 6}, FIRST),
        ({"name": "ellipse", "cx": 16, "cy": 12, "rx": 6, "ry": 8, "theta": np.pi / 2}, FIRST),
    ],
)
def test_via_round_shapes(two, shape, box):
    via(two, {"a.png": (via_regions((shape, {})), {})})
    assert found(two, "via")[0]["a.png"] == (None, None, [tuple(map(float, box))])


def test_via_1_numbers_its_regions_and_ticks_boxes(two):
    regions = {"0": {"shape_attributes": RECT, "region_attributes": {"class": {"benign": True, "malignant": False}}}}
    via(two, {"a.png": (regions, {})})
    assert found(two, "via")[0]["a.png"] == ("benign", None, [FIRST])


def test_via_a_file_in_a_folder_of_a_split_is_for_that_split(tmp_path):
    for n, split in enumerate(("train", "val")):
        picture(tmp_path, f"{split}/{n}.png", n)
        via(tmp_path / split, {f"{n}.png": (via_regions((RECT, {"type": "benign"})), {})})
    opened, _, warnings = found(tmp_path, "via", tmp_path / "val")
    assert opened == {"1.png": ("benign", Split.VAL, [FIRST])}
    assert "val/via_region_data.json was taken as the val split because of its folder's name" in warnings


def test_via_several_attributes_are_no_class_until_one_is_named(two):
    via(two, {"a.png": (via_regions((RECT, {"type": "benign", "grade": "2"})), {})})
    opened, _, warnings = found(two, "via")
    assert opened["a.png"] == (None, None, [FIRST])
    assert any("the attributes grade, type are in use" in warning for warning in warnings)
    assert found(two, "via", class_from="type")[0]["a.png"][0] == "benign"
    with pytest.raises(DataUnreadable, match="no region has the attribute 'typo'"):
        read_layout("via", two, class_from="typo")


def test_via_csv_as_both_versions_write_it(two):
    shape = json.dumps(RECT).replace('"', '""')
    head = "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
    rows = [
        f'a.png,123,"{{}}",1,0,"{shape}","{{""type"":""benign""}}"\n',
        'b.png,123,"{}",0,0,"{}","{}"\n',
        'images/gone.png,123,"{}",1,0,"{not json","{}"\n',
    ]
    text(two, "via_region_data.csv", head + "".join(rows))
    opened, refused, _ = found(two, "via", two / "via_region_data.csv")
    assert opened == {"a.png": ("benign", None, [FIRST]), "b.png": (None, None, None)}
    assert list(refused) == ["images/gone.png"]
    assert recognise(two / "via_region_data.csv")[0] == "via"


def test_via_3_says_what_to_do(two):
    text(two, "via_project.json", json.dumps({"project": {}, "metadata": {}, "file": {}}))
    with pytest.raises(DataUnreadable, match=r"VIA 3 project; export .* COCO"):
        read_layout("via", two)


# --- Label Studio


def rectangle(box=FIRST, label="benign", **fields):
    x, y, w, h = box
    value = {"x": x / 0.64, "y": y / 0.48, "width": w / 0.64, "height": h / 0.48, "rotation": 0}
    return result("rectanglelabels", {**value, "rectanglelabels": [label]}, **fields)


def result(kind, value, name="label", **fields):
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    return {"type": kind, "value": value, "from_name": name, "to_name": "image", "id": str(id(value)), **size, **fields}


def choice(*names, control="class"):
    return {"type": "choices", "value": {"choices": list(names)}, "from_name": control, "to_name": "image", "id": "c"}


def annotation(*results, who=1, when="2026-01-01T00:00:00Z", **fields):
    return {"id": 1, "completed_by": who, "updated_at": when, "result": list(results), "was_cancelled": False, **fields}


def task(image_name, *annotations, predictions=(), **data):
    return {"id": 1, "data": {"image": image_name, **data}, "annotations": list(annotations),
            "predictions": list(predictions)}  # fmt: skip


def export(root, *tasks):
    text(root, "project-1-at-2026.json", json.dumps(list(tasks)))


@pytest.mark.parametrize(
    "name",
    ["/data/upload/7/0a1b2c3d-a.png", "/data/local-files/?d=set/images/a.png", "a.png", "images/a.png",
     "s3://bucket/where/images/a.png", "https://host/x/images/a.png?sig=1", "/home/me/set/images/a.png"],
)  # fmt: skip
def test_label_studio_images_are_found_by_whatever_name(two, name):
    export(two, task(name, annotation(rectangle())))
    listing = read_layout("labelstudio", two)
    assert [entry.path.location for entry in listing.entries] == [str(two / "images/a.png")]
    assert recognise(two)[0] == "labelstudio"


def test_label_studio_another_folders_image_is_not_taken(tmp_path):
    picture(tmp_path, "patient1/1.png")
    export(tmp_path, task("/data/local-files/?d=set/patient2/1.png", annotation(rectangle())))
    assert "no such image" in read_layout("labelstudio", tmp_path).refusals[0].reason


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ([], (None, None, None)),
        ([annotation(rectangle())], ("benign", None, [FIRST])),
        ([annotation(rectangle(label="lesion"), choice("malignant"))], ("malignant", None, [FIRST])),
        ([annotation()], (None, None, [])),
        ([annotation(choice("malignant"))], ("malignant", None, None)),
        ([annotation(rectangle(), was_cancelled=True)], (None, None, None)),
        # One person twice: the later one counts. Two people who agree: the later one's box.
        ([annotation(rectangle()), annotation(rectangle(SECOND), when="2026-02-01T00:00:00Z")],
         ("benign", None, [SECOND])),
        ([annotation(rectangle()), annotation(rectangle((8, 6, 16, 10)), who=2, when="2026-02-01T00:00:00Z")],
         ("benign", None, [(8, 6, 16, 10)])),
        ([annotation(rectangle(), ground_truth=True), annotation(rectangle(SECOND), who=2)], ("benign", None, [FIRST])),
        # A label and its rectangle as two results of one id.
        ([annotation({**rectangle(), "id": "r", "type": "rectangle", "value": {"x": 12.5, "y": 12.5, "width": 25,
          "height": 25}}, {**rectangle(), "id": "r", "type": "labels", "value": {"x": 12.5, "y": 12.5, "width": 25,
          "height": 25, "labels": ["benign"]}})], ("benign", None, [FIRST])),
        ([annotation(choice("no lesion", control="verdict"))], (None, None, [])),
        ([annotation(choice("cannot tell", control="verdict"))], (None, None, None)),
    ],
)  # fmt: skip
def test_label_studio_what_people_said(two, annotations, expected):
    export(two, task("a.png", *annotations, predictions=[{"result": [rectangle(SECOND)]}]))
    opened, refused, warnings = found(two, "labelstudio")
    assert (opened, refused) == ({"a.png": expected}, {})
    assert any("a.png: a prediction is not a label" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        ([annotation(rectangle()), annotation(rectangle(SECOND), who=2)], "disagree about the location (IoU 0.00)"),
        ([annotation(rectangle()), annotation(rectangle(label="malignant"), who=2)], "disagree about its class"),
        ([annotation(rectangle()), annotation(who=2)], "disagree"),
        ([annotation(rectangle(), rectangle(SECOND, "malignant"))], "--boxes-as lesion"),
        ([annotation(choice("benign", "malignant"))], "several classes"),
        ([annotation(rectangle(image_rotation=90))], "rotated by 90 degrees"),
        ([annotation(rectangle(original_width=48, original_height=64))], "48x64"),
        ([annotation(result("polygonlabels", {"points": [[1, 2]], "polygonlabels": ["x"]}))], "cannot be read"),
        ([annotation(result("brushlabels", {"rle": [1, 2, 3], "brushlabels": ["x"]}))], "cannot be read"),
    ],
)
def test_label_studio_what_is_not_clear_is_refused(two, annotations, reason):
    export(two, task("a.png", *annotations), task("b.png", annotation(rectangle())))
    opened, refused, _ = found(two, "labelstudio")
    assert (list(opened), list(refused)) == (["b.png"], ["a.png"])
    assert reason in refused["a.png"]


def test_label_studio_outlines(two):
    inside = np.zeros((48, 64), dtype=bool)
    inside[6:18, 8:24] = True
    brush = result("brushlabels", {"format": "rle", "rle": encode_brush(inside), "brushlabels": ["benign"]})
    corners = [[12.5, 12.5], [37.5, 12.5], [37.5, 37.5], [12.5, 37.5]]
    polygon = result("polygonlabels", {"points": corners, "polygonlabels": ["benign"]})
    ellipse = result("ellipselabels", {"x": 25, "y": 25, "radiusX": 12.5, "radiusY": 12.5, "ellipselabels": ["benign"]})
    for shape, count in ((brush, 192), (polygon, 192), (ellipse, None)):
        export(two, task("a.png", annotation(shape)))
        assert found(two, "labelstudio")[0]["a.png"] == ("benign", None, [FIRST])
        if count is not None:
            assert mask_of(two, "labelstudio") == count
    export(two, task("a.png", annotation(polygon, rectangle(SECOND))))
    assert any("only the boxes are used" in warning for warning in found(two, "labelstudio")[2])


def test_label_studio_json_min(two):
    sized = {**rectangle()["value"], "original_width": 64, "original_height": 48}
    rest = {"annotator": 1, "annotation_id": 5, "updated_at": "2026-01-01", "created_at": "2026-01-01", "lead_time": 3}
    rows = [
        {"image": "/data/upload/7/0a1b2c3d-a.png", "finding": "benign", "id": 1, "label": [sized], **rest},
        {"image": "/data/upload/7/0a1b2c3d-b.png", "finding": "malignant", "id": 2, **rest, "annotation_id": None},
    ]
    text(two, "min.json", json.dumps(rows))
    opened, refused, warnings = found(two, "labelstudio")
    assert opened == {"0a1b2c3d-a.png": (None, None, [FIRST]), "0a1b2c3d-b.png": (None, None, None)}
    assert refused == {}
    assert any("which of finding are choices" in warning for warning in warnings)
    assert recognise(two)[0] == "labelstudio"
    assert found(two, "labelstudio", class_from="finding")[0]["0a1b2c3d-b.png"] == ("malignant", None, None)


def test_label_studio_json_min_without_a_region_is_not_known_to_be_empty(two):
    rest = {"annotator": 1, "annotation_id": 5, "updated_at": "2026-01-01"}
    rows = [
        {"image": "a.png", "finding": "benign", "id": 1, **rest},
        {"image": "b.png", "verdict": "no lesion", "id": 2, **rest},
    ]
    text(two, "min.json", json.dumps(rows))
    opened, _, warnings = found(two, "labelstudio")
    assert opened == {"a.png": (None, None, None), "b.png": (None, None, [])}
    assert any("1 image was annotated without a region" in warning for warning in warnings)


def test_label_studio_the_same_image_twice_is_refused(two):
    export(two, task("a.png", annotation(rectangle())), task("images/a.png", annotation(rectangle(SECOND))))
    listing = read_layout("labelstudio", two)
    assert [refusal.reason[:28] for refusal in listing.refusals] == ["it is listed 2 times as a.pn"] * 2


# --- boxes of several classes


def test_boxes_of_several_classes_are_locations_on_request(two):
    export(two, task("a.png", annotation(rectangle(), rectangle(SECOND, "malignant"))))
    assert found(two, "labelstudio", **LESIONS)[0]["a.png"] == (None, None, [FIRST, SECOND])
    cvat(two, image("a.png", cvat_box(), cvat_box("malignant", SECOND)))
    assert "--boxes-as lesion" in found(two, "cvat")[1]["a.png"]
    assert found(two, "cvat", **LESIONS)[0]["a.png"] == (None, None, [FIRST, SECOND])
