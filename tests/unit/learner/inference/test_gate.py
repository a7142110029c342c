"""What is compared with tau: agreement of views times presence, and nothing of how sure the class is."""

import math

import numpy as np
import pytest

from db.errors import InvalidArgument
from learner.inference.gate import Evidence, Promise, gate_score, parse_promise


def said(presence, *, classes=(0.96, 0.04), has_boxes=True, agreement=0.95):
    return Evidence(np.array(classes), agreement, presence, has_boxes)


def test_a_surer_normal_does_not_make_a_box_surer():
    assert gate_score("agreement", said(0.1), known_class=0) == pytest.approx(0.095)
    assert gate_score("agreement", said(0.1, classes=(0.5, 0.5)), known_class=0) == pytest.approx(0.095)


def test_that_there_is_nothing_is_as_sure_as_presence_is_not():
    assert gate_score("agreement", said(0.1, has_boxes=False)) == pytest.approx(0.9)
    assert gate_score("class", said(0.1, has_boxes=False)) == 0


def test_models_without_the_output_score_as_before():
    assert gate_score("agreement", said(None), known_class=0) == pytest.approx(0.96 * 0.95)
    assert gate_score("agreement", said(None), known_class=1) == pytest.approx(0.04 * 0.95)
    assert gate_score("class", said(None)) == pytest.approx(0.96)
    # They never say that there is nothing to find, however much their views agree.
    assert gate_score("agreement", said(None, has_boxes=False)) == 0


def test_a_model_that_sees_something_does_not_say_that_there_is_nothing():
    assert gate_score("agreement", said(0.6, has_boxes=False)) == 0


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, math.nan, math.inf])
@pytest.mark.parametrize("name", ["precision", "confidence"])
def test_a_promise_is_neither_never_nor_always(name, value):
    with pytest.raises(InvalidArgument, match=f"--{name} must be above 0 and below 1"):
        Promise(**{name: value})


def test_what_is_not_asked_for_is_the_usual():
    assert parse_promise("auto", None, None) == Promise(0.85, 0.8)
    assert parse_promise(None, None, None) == Promise()
    asked = parse_promise("auto", 0.95, 0.9)
    assert (asked.precision, asked.confidence, asked.delta) == (0.95, 0.9, 0.1)


@pytest.mark.parametrize("tau", [None, 0.8])
def test_a_promise_needs_a_certified_threshold(tau):
    with pytest.raises(InvalidArgument, match="--confidence applies only to --tau auto"):
        parse_promise(tau, None, 0.9)
