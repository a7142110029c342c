"""The card says what is known, says where nothing is, and shows names from data as text."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from db.records import Box
from learner.config import make_config
from learner.evaluation.per_image import ImageResult
from learner.export.card_facts import CardFacts, Measure, Measured, _licence, _measured, _stored
from learner.export.model_card import code, plain, render_card
from learner.export.places import ExportFormat

FACTS = CardFacts(
    run="run-3",
    config=make_config("default", {"encoder": "resnet18", "size": 64, "seed": 7}),
    classes=("benign", "malignant"),
    weights_sha256="ab" * 32,
    epoch=4,
    snapshot="sha256:cd",
    begun=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    ended=datetime(2026, 3, 1, 13, 0, tzinfo=UTC),
    started_from={"kind": "hub", "name": "timm/resnet18.a1_in1k", "sha256": None},
    licence="apache-2.0",
    counts={
        ("benign", "train"): {"fully": 30, "partly": 70, "unlabeled": 0},
        ("benign", "test"): {"fully": 90, "partly": 0, "unlabeled": 0},
    },
    measured={"val": None, "test": None},
)


def header(card):
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_header_is_the_hubs_and_leaves_the_licence_open():
    front, body = header(render_card(FACTS, ExportFormat.ONNX, "model.onnx"))
    assert front["library_name"] == "partly"
    assert front["pipeline_tag"] == "image-segmentation"
    assert {"partly", "onnx", "lanet"} <= set(front["tags"])
    assert "license" not in front
    assert body.lstrip().startswith("# Model card of run-3")


def test_it_says_how_the_model_was_trained_and_on_what():
    _, card = header(render_card(FACTS, None, ""))
    assert "Preset `default`, seed 7" in card
    assert "`encoder=resnet18`, `size=64`" in card
    assert "From 2026-03-01 12:30 to 2026-03-01 13:00 (UTC)" in card
    assert "ImageNet weights timm/resnet18.a1\\_in1k; their licence, as timm states it: apache-2.0" in card
    assert "| benign | train | 30 | 70 | 0 | 100 |" in card
    assert "| **all** |  | 120 | 70 | 0 | 190 |" in card
    # Those of the test split taught it nothing.
    assert "from at most 30 images, which is few" in card
    assert "not\na medical device" in card
    assert "model export --run run-3 --format onnx" in card


def test_it_says_that_it_was_not_evaluated_and_how_to_do_it():
    card = render_card(FACTS, None, "")
    assert "Not evaluated. `partly evaluate --run run-3 --split test` does this" in card
    assert "Not evaluated. `partly evaluate --run run-3 --split val` does this" in card
    assert "None: no threshold has a certified precision." in card
    promised = render_card(
        replace(FACTS, certificates=("locations above 0.9 are correct in at least 85% of images",)), None, ""
    )
    assert "- locations above 0.9 are correct in at least 85% of images" in promised
    assert "None: no threshold" not in promised


def row(image, right, box=None, boxes=()):
    """A row of an evaluation: what was found, beside a lesion or its absence."""
    hit = float(bool(boxes)) if box is not None else None
    return ImageResult(
        image=image, truth="benign", predicted="benign" if right else "malignant",
        probability=(0.8, 0.2) if right else (0.2, 0.8), right=float(right), lesion=box is not None,
        lesion_share=None, truth_boxes=(box,) if box else (), boxes=tuple(boxes), score=0.5, iou=hit, dice=hit,
        mask_iou=None, mask_dice=None, box_scores=(0.5,) * len(boxes), presence=0.9,
    )  # fmt: skip


def test_measures_come_from_the_rows_with_intervals_over_groups():
    box = Box(1, 1, 5, 5)
    rows = [row(n, n % 4 > 0, box if n % 2 else None, (box,) if n % 3 == 1 else ()) for n in range(24)]
    found = _measured(rows, ["benign", "malignant"], {n: f"group {n}" for n in range(24)})
    values = {measure.name: measure for measure in found.measures}
    assert found.n == 24
    accuracy = values["accuracy"]
    assert accuracy.value == pytest.approx(18 / 24)
    assert accuracy.low < accuracy.value < accuracy.high
    located = [one for one in rows if one.lesion]
    assert values["box IoU, a miss counts as 0"].value == pytest.approx(sum(r.iou for r in located) / len(located))
    wrong = values["share of empty images with a box"]
    assert wrong.value == pytest.approx(sum(bool(r.boxes) for r in rows if not r.lesion) / 12)
    assert wrong.low < wrong.value < wrong.high
    # All images of one patient: nothing can be said of others.
    (alone,) = {m.low for m in _measured(rows, ["benign", "malignant"], dict.fromkeys(range(24), "one")).measures}
    assert alone is None
    card = render_card(replace(FACTS, measured={"val": None, "test": found}), None, "")
    assert f"| accuracy | 0.750 | {accuracy.low:.3f} to {accuracy.high:.3f} |" in card
    assert "**24 images are few**" in card


def test_stored_numbers_without_rows_have_no_interval():
    found = _stored({"n": 200, "classification": {"accuracy": 0.5, "f1": None, "auc": "x"}, "localization": None})
    assert found == Measured(200, (Measure("accuracy", 0.5),), False)
    card = render_card(replace(FACTS, measured={"val": found, "test": None}), None, "")
    assert "| accuracy | 0.500 | - |" in card
    assert "--split val` adds intervals" in card
    for nothing in (None, {}, {"n": "many"}, [1], {"n": 3, "classification": {}}):
        assert _stored(nothing) is None


NASTY = [
    "a|b",
    "<script>x</script>",
    "[x](http://evil)",
    "`code`",
    "# title\n\n---\nlicense: mit",
    "x\x1b[2J",
    "**b** &amp;",
]


@pytest.mark.parametrize("name", NASTY)
def test_names_from_data_are_text(name):
    facts = replace(
        FACTS, run=name, classes=(name, "other"), snapshot=name,
        started_from={"kind": "file", "name": f"/home/me/{name}"},
        counts={(name, "train"): {"fully": 1, "partly": 0, "unlabeled": 0}},
    )  # fmt: skip
    card = render_card(facts, ExportFormat.SAFETENSORS, name)
    front, body = header(card)
    assert "license" not in front
    # What stands in code is literal; nothing ends it.
    text = re.sub(r"`[^`\n]*`", "", re.sub(r"^```sh\n.*?^```$", "", body, flags=re.M | re.S))
    assert "`" not in text.replace("\\`", "")
    assert "<script" not in text
    assert "](http" not in text
    assert "\x1b" not in card
    assert "/home/me" not in card
    titles = [line for line in body.splitlines() if line.startswith("# ")]
    assert len(titles) == 1
    for line in body.splitlines():
        # Every row of a table has as many cells as its title.
        if line.startswith("| ") and line.count(" | ") not in (2, 5):
            raise AssertionError(line)


def test_escaping():
    assert plain("a_b*c") == "a\\_b\\*c"
    assert plain("x" * 500).endswith("...")
    assert code("a`b\nc") == "`a'b\\nc`"


def test_licences_are_those_that_timm_states():
    assert _licence({"kind": "hub", "name": "timm/resnet18.a1_in1k"}, "resnet18") == "apache-2.0"
    assert _licence({"kind": "package", "name": "some-package 1.0"}, "tf_efficientnet_lite0") == "apache-2.0"
    assert _licence({"kind": "hub", "name": "no_such_model"}, "no_such_model_either") is None
    for source in (None, {"kind": "none"}, {"kind": "file", "name": "a.safetensors"}, {"kind": "run", "name": "run-1"}):
        assert _licence(source, "resnet18") is None
