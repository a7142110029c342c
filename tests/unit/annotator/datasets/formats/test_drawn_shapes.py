"""Shapes that labelme, Label Studio, CVAT and VIA write, under the same rules: twins, edges, sizes, what is broken."""

import json

import pytest

from annotator.datasets.formats.names import BoxesAs
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from tests.accounts import assert_adds_up
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, SECOND, found, picture, text
from tests.unit.annotator.datasets.formats.test_labeling_programs import (
    annotation,
    cvat,
    drawn,
    export,
    image,
    labelme,
    result,
    task,
    via,
    via_regions,
)

LAYOUTS = ("labelme", "labelstudio", "cvat", "via")


def rect(x, y, w, h, label="benign"):
    return "rect", (x, y, w, h), label


def polygon(*corners, label="benign"):
    return "polygon", corners, label


def circle(x, y, radius, label="benign"):
    return "circle", (x, y, radius), label


def write(root, layout, *shapes, size=(64, 48)):
    """Write a set of one image of 64 x 48 pixels in this layout, with shapes as `rect` and others describe them."""
    name = "a.png" if layout == "labelme" else "images/a.png"
    picture(root, name)
    made = [AS[layout](kind, values, label) for kind, values, label in shapes]
    if layout == "labelme":
        text(root, "a.json", labelme(*made, size=size))
    elif layout == "cvat":
        cvat(root, image("a.png", *made, size=size))
    elif layout == "via":
        via(root, {"a.png": (via_regions(*made), {})})
    else:
        results = [{**one, "id": f"r{n}", "original_width": size[0], "original_height": size[1]}
                   for n, one in enumerate(made)]  # fmt: skip
        export(root, task("a.png", annotation(*results)))


def as_labelme(kind, values, label):
    if kind == "rect":
        x, y, w, h = values
        return drawn("rectangle", [[x, y], [x + w, y + h]], label)
    if kind == "circle":
        x, y, radius = values
        return drawn("circle", [[x, y], [x, y + radius]], label)
    return drawn("polygon", [list(corner) for corner in values], label)


def as_cvat(kind, values, label):
    if kind == "rect":
        x, y, w, h = values
        return f'<box label="{label}" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"></box>'
    if kind == "circle":
        x, y, radius = values
        return f'<ellipse label="{label}" cx="{x}" cy="{y}" rx="{radius}" ry="{radius}"></ellipse>'
    return f'<polygon label="{label}" points="{";".join(f"{x},{y}" for x, y in values)}"></polygon>'


def as_via(kind, values, label):
    names = {"rect": ("x", "y", "width", "height"), "circle": ("cx", "cy", "r")}
    if kind in names:
        return {"name": kind, **dict(zip(names[kind], values, strict=True))}, {"type": label}
    xs, ys = zip(*values, strict=True)
    return {"name": "polygon", "all_points_x": list(xs), "all_points_y": list(ys)}, {"type": label}


def as_label_studio(kind, values, label):
    if kind == "rect":
        x, y, w, h = values
        value = {"x": x / 0.64, "y": y / 0.48, "width": w / 0.64, "height": h / 0.48, "rotation": 0}
        return result("rectanglelabels", {**value, "rectanglelabels": [label]})
    if kind == "circle":
        x, y, radius = values
        value = {"x": x / 0.64, "y": y / 0.48, "radiusX": radius / 0.64, "radiusY": radius / 0.48}
        return result("ellipselabels", {**value, "ellipselabels": [label]})
    points = [[x / 0.64, y / 0.48] for x, y in values]
    return result("polygonlabels", {"points": points, "polygonlabels": [label]})


AS = {"labelme": as_labelme, "labelstudio": as_label_studio, "cvat": as_cvat, "via": as_via}
SQUARE = ((8, 6), (24, 6), (24, 18), (8, 18))


# --- twins


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "twins",
    [
        [rect(*FIRST), rect(*FIRST)],
        [polygon(*SQUARE), polygon(*SQUARE)],
        # Begun at another corner, run the other way, closed.
        [polygon(*SQUARE), polygon(*SQUARE[2:], *SQUARE[:2]), polygon(*SQUARE[::-1]), polygon(*SQUARE, SQUARE[0])],
        [circle(16, 12, 5), circle(16, 12, 5)],
    ],
)
def test_a_shape_that_is_there_twice_counts_once(tmp_path, layout, twins):
    write(tmp_path, layout, *twins)
    opened, refused, warnings = found(tmp_path, layout)
    assert refused == {}
    assert len(opened["a.png"][2]) == 1
    assert any(said.startswith("a.png: a shape repeats an earlier one; each counts once") for said in warnings)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_that_only_lie_close_all_count(tmp_path, layout):
    write(tmp_path, layout, rect(*FIRST), rect(8, 6, 16, 12.5), polygon(*SQUARE), polygon(*SQUARE[:3]))
    opened, refused, warnings = found(tmp_path, layout)
    assert (len(opened["a.png"][2]), refused) == (4, {})
    assert not any("repeats" in said for said in warnings)


def test_twins_are_compared_as_numbers(tmp_path):
    box = '<box label="x" xtl="{}" ytl="6" xbr="24" ybr="18"></box>'
    picture(tmp_path, "images/a.png")
    cvat(tmp_path, image("a.png", box.format("8"), box.format("8.00")))
    assert len(found(tmp_path, "cvat")[0]["a.png"][2]) == 1
    mask = '<mask label="x" rle="{}" left="{}" top="6" width="2" height="2"></mask>'
    cvat(tmp_path, image("a.png", mask.format("0, 3, 1", "8"), mask.format("0,3,1", "8.0")))
    assert len(found(tmp_path, "cvat")[0]["a.png"][2]) == 1
    via(tmp_path, {"a.png": (via_regions((rect_of("8"), {}), (rect_of(8.0), {})), {})})
    assert len(found(tmp_path, "via")[0]["a.png"][2]) == 1


def rect_of(x):
    return {"name": "rect", "x": x, "y": 6, "width": 16, "height": 12}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_place_under_two_labels_is_a_contradiction_unless_labels_do_not_matter(tmp_path, layout):
    write(tmp_path, layout, rect(*FIRST), rect(*FIRST, label="malignant"))
    assert "several classes" in found(tmp_path, layout)[1]["a.png"]
    opened, refused, warnings = found(tmp_path, layout, boxes_as=BoxesAs.LESION)
    assert (opened["a.png"][2], refused) == ([FIRST], {})
    assert any("repeats an earlier one" in said for said in warnings)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_outlines_that_repeat_are_accounted_for(tmp_path, layout):
    write(tmp_path, layout, polygon(*SQUARE), polygon(*SQUARE))
    listing = read_layout(layout, tmp_path)
    assert_adds_up(listing)
    assert [entry.masks for entry in listing.entries] == [1]
    assert listing.there.masks == 2


# --- the image's edge


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (rect(56, 6, 8.6, 12), (56, 6, 8, 12)),
        (rect(-4, 6, 16, 12), (0, 6, 12, 12)),
        (polygon((56, 6), (64.6, 6), (64.6, 18), (56, 18)), (56, 6, 8, 12)),
        (polygon((50, 40), (60, 40), (60, 53), (50, 53)), (50, 40, 10, 8)),
        (circle(2, 24, 8), (0, 16, 10, 16)),
    ],
)
def test_what_reaches_over_the_edge_is_cut_there_and_said(tmp_path, layout, shape, box):
    write(tmp_path, layout, shape)
    opened, refused, warnings = found(tmp_path, layout)
    assert refused == {}
    assert opened["a.png"][2] == [pytest.approx(box, abs=2e-3)]
    assert [said for said in warnings if "beyond the edge" in said] == [
        "a.png: a shape reaches beyond the edge of the image; what lies outside was cut off"
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [rect(48, 6, 16.4, 12), polygon((48, 6), (64.4, 6), (64.4, 18)), circle(7.7, 24, 8)])
def test_half_a_pixel_over_the_edge_is_rounding(tmp_path, layout, shape):
    write(tmp_path, layout, shape)
    opened, refused, warnings = found(tmp_path, layout)
    assert (list(opened), refused, warnings) == (["a.png"], {}, [])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "share"),
    [
        (rect(60, 6, 16, 12), "by 75%"),
        (rect(70, 6, 16, 12), "wholly"),
        (polygon((60, 6), (76, 6), (76, 18), (60, 18)), "by 75%"),
        (polygon((-6, 4), (-5, 5), (5, -5), (4, -6)), "wholly"),
        (circle(-4, 24, 8), "by 78%"),
    ],
)
def test_what_lies_mostly_outside_hints_at_another_image(tmp_path, layout, shape, share):
    write(tmp_path, layout, shape, rect(*SECOND))
    opened, refused, _ = found(tmp_path, layout)
    assert opened == {}
    assert f"lies {share} outside the 64x48 image" in refused["a.png"]
    assert "image in another size; correct or delete it" in refused["a.png"]


def test_an_import_tells_of_all_images_whose_shapes_were_cut(registry, tmp_path):
    for number in range(5):
        picture(tmp_path, f"{number}.png", number)
        shape = drawn("polygon", [[56, 6], [66, 6], [66, 18], [56, 18]])
        text(tmp_path, f"{number}.json", labelme(shape, shape, path=f"{number}.png"))
    report = import_images(registry, ImportRequest(tmp_path, "labelme"))
    assert (report.registered, report.refused) == (5, [])
    assert "5 images, such as 0.png, 1.png, 2.png: a shape reaches beyond the edge of the image; what lies outside " \
        "was cut off" in report.warnings  # fmt: skip
    again = import_images(registry, ImportRequest(tmp_path, "labelme"))
    assert again.unchanged == 5


# --- the size that a file says


@pytest.mark.parametrize("layout", ["labelme", "labelstudio", "cvat"])
@pytest.mark.parametrize("size", [(64, 0), (0, 48), (64, -1), (-1, -1), (0, 0), (64, ""), (64, "nan"), (64, "?")])
def test_a_side_that_is_not_given_is_not_compared(tmp_path, layout, size):
    write(tmp_path, layout, rect(*FIRST), size=size)
    opened, refused, _ = found(tmp_path, layout)
    assert (opened["a.png"][2], refused) == ([FIRST], {})


@pytest.mark.parametrize("layout", ["labelme", "cvat"])
def test_one_side_that_is_given_and_differs_is_another_image(tmp_path, layout):
    write(tmp_path, layout, rect(*FIRST), size=(48, 0))
    assert "48x?, the upright image is 64x48" in found(tmp_path, layout)[1]["a.png"]


# --- what is broken, in words

PYTHON = ("Error", "argument", "unpack", "indices", "literal", "convert", "NoneType", "object of type", "not subscript")


def refusal(root, layout, path=None):
    """The only refusal, in words."""
    listing = read_layout(layout, path or root)
    assert_adds_up(listing)
    _, refused, _ = found(root, layout, path)
    ((name, reason),) = refused.items()
    assert not [word for word in PYTHON if word in reason], reason
    return name, reason


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"points": None}, "shape 2 of a.json (polygon) cannot be read: its points are missing"),
        ({}, "shape 2 of a.json (polygon) cannot be read: its points are missing"),
        ({"points": "1,2"}, 'its points are "1,2", expected a list'),
        ({"points": [1, 2, 3]}, "point 1 is 1, expected two numbers"),
        ({"points": [[1, 2], [3, 4, 5], [6, 7]]}, "point 2 is [3, 4, 5], expected two numbers"),
        ({"points": [[1, 2], [3, None], [6, 7]]}, "y of point 2 is null, which is not a number"),
        ({"points": [["a", 2], [3, 4], [6, 7]]}, 'x of point 1 is "a", which is not a number'),
        ({"points": [[1, 2], [3, 4]]}, "at least 3 corners"),
        ({"shape_type": "circle", "points": [[1, 2]]}, "(circle) cannot be read: it has 1 point, expected 2"),
        ({"shape_type": "circle", "points": [[1, 2], [1, 2]]}, "two positive radii"),
        ({"shape_type": "rectangle", "points": [[1, 2]]}, "it has 1 point, expected at least 2"),
        ({"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": None}, "not a PNG in base64"),
    ],
)
def test_labelme_says_which_shape_and_why(tmp_path, shape, said):
    picture(tmp_path, "a.png")
    text(tmp_path, "a.json", labelme(as_labelme(*rect(*FIRST)), {"label": "benign", **shape}))
    name, reason = refusal(tmp_path, "labelme")
    assert name == "a.png"
    assert said in reason
    assert reason.endswith("correct or delete it in labelme")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('<polygon label="x" points="8,6;24;2,2"></polygon>',
         "shape 2 of the image (polygon) cannot be read: point 2 is '24'"),
        ('<polygon label="x" points=""></polygon>', "point 1 is ''"),
        ('<polygon label="x"></polygon>', "point 1 is ''"),
        ('<polygon label="x" points="8,6;b,4;2,2"></polygon>', 'x of point 2 is "b", which is not a number'),
        ('<box label="x" xtl="1" ytl="2" xbr="3"></box>', "(box) cannot be read: ybr is missing"),
        ('<box label="x" xtl="1" ytl="2" xbr="3" ybr="x"></box>', 'ybr is "x", which is not a number'),
        ('<box label="x" xtl="1" ytl="2" xbr="3" ybr="3" rotation="x"></box>', 'rotation is "x", which'),
        ('<ellipse label="x" cx="1"></ellipse>', "cy and rx and ry are missing"),
        ('<mask label="x" rle="0, a" left="8" top="6" width="2" height="2"></mask>', "run 2 of its rle is 'a'"),
        ('<mask label="x" left="8" top="6" width="2" height="2"></mask>', "run 1 of its rle is ''"),
        (f'<mask label="x" rle="{"9" * 5000}" left="8" top="6" width="2" height="2"></mask>', "run 1 of its rle"),
    ],
)  # fmt: skip
def test_cvat_says_which_shape_and_why(tmp_path, shape, said):
    picture(tmp_path, "images/a.png")
    cvat(tmp_path, image("a.png", as_cvat(*rect(*FIRST, label="x")), shape))
    name, reason = refusal(tmp_path, "cvat")
    assert name == "a.png"
    assert said in reason
    assert reason.endswith("correct or delete it in CVAT, and export again")


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]},
         "region 2 (polygon) cannot be read: it has 3 numbers in all_points_x and 2 in all_points_y"),
        ({"name": "polygon", "all_points_x": [1, 2, 3]}, "all_points_y is missing"),
        ({"name": "polygon", "all_points_x": 3, "all_points_y": 4}, "all_points_x is not a list of numbers"),
        ({"name": "polygon", "all_points_x": [1, None, 3], "all_points_y": [1, 2, 3]}, "x of point 2 is null"),
        ({"name": "rect", "x": 1, "y": 2, "width": 3}, "(rect) cannot be read: height is missing"),
        ({"name": "rect", "x": [], "y": 2, "width": 3, "height": 4}, "x is [], which is not a number"),
        ({"name": "circle", "cx": 1, "cy": True, "r": 4}, "cy is true, which is not a number"),
        ({"name": "ellipse", "cx": 1, "cy": 3, "rx": 4, "ry": 4, "theta": "x"}, 'theta is "x"'),
        ({}, "region 2 cannot be read: it has no shape_attributes"),
        (None, "region 2 cannot be read: it has no shape_attributes"),
    ],
)  # fmt: skip
def test_via_says_which_region_and_why(tmp_path, shape, said):
    picture(tmp_path, "images/a.png")
    via(tmp_path, {"a.png": (via_regions(as_via(*rect(*FIRST)), (shape, {"type": "benign"})), {})})
    name, reason = refusal(tmp_path, "via")
    assert name == "a.png"
    assert said in reason
    assert reason.endswith("correct or delete it in VIA, and export again")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"points": [[1, 2], [3], [4, 5]]}, "result 2 (polygon) cannot be read: a polygon needs corners"),
        ({"points": None}, "at least 3 corners"),
        ({"x": 1, "y": None, "width": 3, "height": 4}, "result 2 (rectangle) cannot be read: a rectangle needs"),
        ({"x": 1, "y": "b", "width": 3, "height": 4}, 'y is "b", which is not a number'),
        ({"x": 1, "y": 2, "width": 3, "height": 4, "rotation": "b"}, 'rotation is "b", which is not a number'),
        ({"x": 1, "y": 2, "width": 0.1, "height": 4}, "it is smaller than a pixel"),
        ({"x": 1, "y": 2, "radiusX": 3}, "result 2 (ellipse) cannot be read: radiusY is missing"),
        ({"rle": None}, "a brush mask is a list of bytes"),
    ],
)
def test_label_studio_says_which_result_and_why(tmp_path, value, said):
    picture(tmp_path, "images/a.png")
    export(tmp_path, task("a.png", annotation(as_label_studio(*rect(*FIRST)), result("labels", value))))
    name, reason = refusal(tmp_path, "labelstudio")
    assert name == "a.png"
    assert said in reason
    assert reason.endswith("correct or delete it in Label Studio, and export again")


@pytest.mark.parametrize(
    ("broken", "name", "said"),
    [
        ("text", "task 2", "it has no `data` that names an image"),
        ({"id": 2}, "task 2", "it has no `data` that names an image"),
        ({"id": 2, "data": "b.png"}, "task 2", "it has no `data` that names an image"),
        ({"id": 2, "data": {"image": 3}}, "task 2", "its `data` names no image"),
        ({"id": 2, "data": {"image": "b.png"}, "annotations": 3}, "b.png", "its annotations are not a list"),
        ({"id": 2, "data": {"image": "b.png"}, "annotations": [3]}, "b.png", "annotation 1 is not an object"),
        ({"id": 2, "data": {"image": "b.png"}, "annotations": [{"id": 7, "result": 3}]}, "b.png",
         "the `result` of annotation 7 is int, not a list"),
        ({"id": 2, "data": {"image": "b.png"}, "annotations": [{"id": 7, "result": [{"from_name": "class", "value":
          {"choices": 3}}]}]}, "b.png", "the choices of result 1 are not a list"),
    ],
)  # fmt: skip
def test_label_studio_says_which_task_and_why(tmp_path, broken, name, said):
    for number, place in enumerate(("images/a.png", "images/b.png")):
        picture(tmp_path, place, number)
    export(tmp_path, task("a.png", annotation(as_label_studio(*rect(*FIRST)))), broken)
    found_name, reason = refusal(tmp_path, "labelstudio")
    assert found_name == name
    assert said in reason
    assert "again" in reason


def test_label_studio_json_min_with_a_row_that_is_none(tmp_path):
    picture(tmp_path, "a.png")
    row = {"image": "a.png", "id": 1, "annotator": 1, "annotation_id": 5}
    text(tmp_path, "min.json", json.dumps([row, "text"]))
    assert refusal(tmp_path, "labelstudio")[1].startswith("task 2 cannot be used: it is not an object")
