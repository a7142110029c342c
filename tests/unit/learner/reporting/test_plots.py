"""Names from data are drawn as they are."""

import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from learner.reporting.plots import plot_confusion, plot_curves

NAMES = [r"$\frac{$", "_hidden", "a\x1b[2J--b", "50% <b>", "two\nlines"]


@pytest.mark.parametrize("draw", ["confusion", "curves"])
def test_a_class_may_have_any_name(tmp_path, draw):
    truth, out = NAMES * 4, tmp_path / "new" / "plot.svg"
    before = mpl.rcParams["text.parse_math"]
    if draw == "confusion":
        plot_confusion(truth, truth[::-1], NAMES, out)
    else:
        plot_curves(truth, np.random.default_rng(0).random((20, 5)), NAMES, out)
    ElementTree.parse(out)
    drawn = out.read_text()
    assert r"\frac{$" in drawn
    assert "_hidden" in drawn
    assert "\x1b" not in drawn
    assert mpl.rcParams["text.parse_math"] is before
    assert [file.name for file in out.parent.iterdir()] == ["plot.svg"]
