import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.query.learning_curve import Curve, band, fit_curve


def test_a_curve_is_found_again():
    truth = Curve(0.7, 2.0, 0.5)
    located = [25, 50, 100, 200]
    # .7 - 2 / 5, .7 - 2 / 7.07, .7 - 2 / 10, .7 - 2 / 14.1
    assert [truth.iou(n) for n in located] == pytest.approx([0.3, 0.4172, 0.5, 0.5586], abs=1e-4)
    found = fit_curve(located, [truth.iou(n) for n in located])
    assert found.iou(400) == pytest.approx(0.6, abs=0.005)
    assert found.located_for(0.5) == pytest.approx(100, rel=0.02)
    assert truth.located_for(0.6) == pytest.approx(400)


def test_a_target_beyond_the_limit_is_never_reached():
    assert Curve(0.7, 2.0, 0.5).located_for(0.7) is None
    assert Curve(0.6, 0.0, 1.0).located_for(0.5) is None


def test_two_numbers_of_locations_make_no_curve():
    assert fit_curve([10, 10, 20], [0.3, 0.3, 0.4]) is None


def test_a_loss_is_taken_for_noise():
    found = fit_curve([10, 20, 40], [0.5, 0.45, 0.4])
    assert (found.iou(10), found.iou(1000)) == (pytest.approx(0.45), pytest.approx(0.45))


@given(
    values=st.lists(st.floats(0, 1), min_size=3, max_size=6),
    after=st.integers(1, 10**6),
)
def test_a_curve_never_falls_and_stays_below_one(values, after):
    located = [10 * 2**n for n in range(len(values))]
    found = fit_curve(located, values)
    assert found.limit <= 1 + 1e-9
    assert found.iou(after) <= found.iou(after + 10) + 1e-9 <= 1 + 1e-8


def test_a_band_holds_most_of_the_curves():
    curves = [Curve(limit, 0.0, 1.0) for limit in np.linspace(0, 1, 101)]
    assert band(curves, 50) == (pytest.approx(0.025), pytest.approx(0.975))
