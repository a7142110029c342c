import math

import pytest

from db.errors import InvalidArgument
from learner.inference.gate import Promise, parse_promise


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
    with pytest.raises(InvalidArgument, match="--confidence is what --tau auto"):
        parse_promise(tau, None, 0.9)
