"""Tasks of Label Studio: which image they name, and what an annotation without a region says. Files listed twice."""

import json

import pytest
from PIL import Image

from annotator.datasets.formats.supported import read_layout
from tests.unit.annotator.datasets.formats.test_as_people_write_them import FIRST, found, picture, text
from tests.unit.annotator.datasets.formats.test_labeling_programs import (
    annotation,
    choice,
    cvat,
    cvat_box,
    export,
    image,
    rectangle,
    task,
    via,
    via_regions,
)

RELATION = {"from_id": "a", "to_id": "b", "type": "relation", "direction": "right"}


@pytest.fixture
def two(tmp_path):
    for n, name in enumerate(("images/a.png", "images/b.png")):
        picture(tmp_path, name, n)
    return tmp_path


# --- what says that there is nothing, and what says nothing


@pytest.mark.parametrize("field", [{"result": None}, {}, {"result": {}}, {"result": "[]"}])
def test_an_annotation_without_a_list_of_results_is_broken(two, field):
    broken = {key: value for key, value in annotation().items() if key != "result"}
    export(two, task("a.png", annotation(rectangle())), task("b.png", {**broken, **field}))
    opened, refused, warnings = found(two, "labelstudio")
    assert opened == {"a.png": ("benign", None, [FIRST])}
    assert "task 2 cannot be used: the `result` of annotation 1 is" in refused["b.png"]
    assert "export the project from Label Studio again" in refused["b.png"]
    # It is listed, so that it does not count twice.
    assert not any("not listed" in warning for warning in warnings)


def test_a_skipped_annotation_may_lack_its_results(two):
    export(two, task("a.png", annotation(rectangle()), {**annotation(was_cancelled=True), "result": None}))
    assert found(two, "labelstudio")[:2] == ({"a.png": ("benign", None, [FIRST])}, {})


@pytest.mark.parametrize(
    "other",
    [
        RELATION,
        {"id": "t", "type": "textarea", "from_name": "note", "to_name": "image", "value": {"text": ["nothing here"]}},
        {"id": "n", "type": "rating", "from_name": "sure", "to_name": "image", "value": {"rating": 3}},
        {"id": "k", "type": "keypointlabels", "value": {"x": 3, "y": 4, "width": 1, "keypointlabels": ["benign"]}},
        {"id": "v", "type": "rectanglelabels", "value": None},
        {"id": "v", "type": "rectanglelabels", "value": {"rectanglelabels": ["benign"]}},
        {"id": "v", "type": "rectanglelabels"},
        {"id": "v", "type": "somethingnew", "value": {"somethingnew": [1]}},
        3,
    ],
)
def test_results_without_a_place_leave_the_location_unknown(two, other):
    export(two, task("a.png", annotation(other)), task("b.png", annotation()))
    opened, refused, warnings = found(two, "labelstudio")
    assert ([boxes for _, _, boxes in opened.values()], refused) == ([None, []], {})
    said = "a.png: it has results that are neither boxes nor areas nor choices; they were not used, and its location"
    assert any(warning.startswith(said) for warning in warnings)


def test_a_relation_between_boxes_takes_nothing_from_them(two):
    export(two, task("a.png", annotation(rectangle(), RELATION)))
    opened, refused, warnings = found(two, "labelstudio")
    assert (opened, refused) == ({"a.png": ("benign", None, [FIRST])}, {})
    assert any("a.png: it has results that are neither" in warning for warning in warnings)


def test_a_verdict_says_that_there_is_nothing_whatever_stands_beside_it(two):
    export(two, task("a.png", annotation(choice("no lesion", control="verdict"), RELATION)))
    assert found(two, "labelstudio")[0] == {"a.png": (None, None, [])}


def test_one_choice_may_be_written_as_text(two):
    said = {**choice("x"), "value": {"choices": "malignant"}}
    export(two, task("a.png", annotation(said)))
    assert found(two, "labelstudio")[0] == {"a.png": ("malignant", None, None)}


# --- names of images


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a#1.png", "s3://bucket/p/a#1.png"),
        ("a%201.png", "s3://bucket/p/a%201.png"),
        ("a?1.png", "gs://bucket/p/a?1.png"),
        ("100%.png", "azure-blob://bucket/100%.png"),
        # Somebody wrote the address as an address of the web.
        ("a 1.png", "s3://bucket/p/a%201.png"),
        ("a.png", "s3://bucket/p/a.png?versionId=3"),
        ("a 1.png", "https://host/p/a%201.png?X-Amz-Signature=1&d=3"),
        ("a#1.png", "https://host/p/a%231.png"),
        # Written by hand, and fetched under the name that stands in the address.
        ("a#1.png", "https://host/p/a#1.png"),
        ("a%201.png", "https://host/p/a%201.png"),
        ("a+b.png", "/data/local-files/?d=set/a+b.png"),
        ("a b.png", "/data/local-files/?d=set/a+b.png"),
        ("a b.png", "/data/local-files/?d=set/a%20b.png"),
        ("a#b.png", "/data/local-files/?d=set/a#b.png"),
        ("a&b.png", "http://host:8080/data/local-files/?d=set/a&b.png"),
        ("a#1.png", "a#1.png"),
        ("a%201.png", "a%201.png"),
    ],
)
def test_odd_letters_in_names_of_images(tmp_path, name, said):
    picture(tmp_path, name)
    export(tmp_path, task(said, annotation(rectangle())))
    listing = read_layout("labelstudio", tmp_path)
    assert [entry.path.location for entry in listing.entries] == [str(tmp_path / name)]
    assert listing.refusals == []


def test_the_name_as_it_stands_goes_before_what_it_may_mean(tmp_path):
    for n, name in enumerate(("a 1.png", "a%201.png")):
        picture(tmp_path, name, n)
    export(tmp_path, task("s3://bucket/p/a%201.png", annotation(rectangle())))
    (entry,) = read_layout("labelstudio", tmp_path).entries
    assert entry.path.name == "a%201.png"


@pytest.mark.parametrize("folder", ["memory://tasks", "memory://tasks/p"])
@pytest.mark.parametrize("name", ["a#1.png", "a%201.png", "a.png"])
def test_objects_of_a_bucket_are_registered_under_their_own_name(tmp_path, folder, name):
    import fsspec

    memory = fsspec.filesystem("memory")
    with memory.open(f"/tasks/p/{name}", "wb") as stream:
        Image.new("L", (64, 48)).save(stream, "PNG")
    export(tmp_path, task(f"memory://tasks/p/{name}", annotation(rectangle())))
    listing = read_layout("labelstudio", tmp_path, images=folder)
    (entry,) = listing.entries
    assert entry.path.location == f"memory://tasks/p/{name}"
    assert entry.path.exists()
    memory.rm(f"/tasks/p/{name}")


# --- files that are listed twice


def twice_label_studio(root):
    export(root, *(task(name, annotation(rectangle())) for name in ("a.png", "/data/upload/2/aaaaaaaa-a.png", "b.png")))


def twice_cvat(root):
    cvat(root, *(image(name, cvat_box()) for name in ("a.png", "a.png", "b.png")))


def twice_via(root):
    regions = via_regions(({"name": "rect", "x": 8, "y": 6, "width": 16, "height": 12}, {"type": "benign"}))
    via(root, {name: (regions, {}) for name in ("a.png", "images/a.png", "b.png")})


@pytest.mark.parametrize(
    ("layout", "write"), [("labelstudio", twice_label_studio), ("cvat", twice_cvat), ("via", twice_via)]
)
def test_a_file_that_is_listed_twice_is_one_image_and_is_listed(two, layout, write):
    write(two)
    listing = read_layout(layout, two)
    opened, _, warnings = found(two, layout)
    assert list(opened) == ["b.png"]
    assert [refusal.reason[:29] for refusal in listing.refusals] == ["it is listed 2 times as a.png"] * 2
    assert not any("not listed" in warning for warning in warnings)
    assert (listing.there.images, listing.there.labels) == (2, 3)


def test_an_image_of_a_task_that_cannot_be_used_is_listed(two):
    broken = {"data": {"image": "/data/upload/2/aaaaaaaa-b.png"}, "annotations": [3]}
    text(two, "export.json", json.dumps([task("a.png", annotation(rectangle())), broken]))
    listing = read_layout("labelstudio", two)
    assert listing.there.images == 2
    assert len(listing.refusals) == 1
