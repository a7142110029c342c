"""What is compared with tau: agreement of views times presence, and nothing of how sure the class is."""

import numpy as np
import pytest

from learner.inference.gate import Evidence, gate_score


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
