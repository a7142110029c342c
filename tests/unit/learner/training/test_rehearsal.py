"""The arithmetic of an estimate, and of what is shown of it."""

import math

import pytest

from cli.help.words import in_time
from db.plain_text import counted
from learner.training.rehearsal.estimate import MARGIN, Timed, part_estimate, total_estimate


def test_a_part_is_so_many_times_what_was_measured():
    timed = Timed((1.0, 2.0, 3.0))
    part = part_estimate("stage 1", 100, timed, epochs=5)
    assert (part.seconds, part.seconds_each, part.measured) == (200, 2.0, 3)
    assert math.isclose(part.low, 100 * 1.0 * (1 - MARGIN))
    assert math.isclose(part.high, 100 * 3.0 * (1 + MARGIN))
    # On a machine that does other things too, a step can be quicker than each that was tried.
    assert math.isclose(Timed((1.0, 2.0), alone=0.5).low, 0.5 * (1 - MARGIN))
    assert Timed((1.0, 2.0), alone=1.5).low == Timed((1.0, 2.0)).low
    eight = part_estimate("validation", 80, Timed((4.0,)), each=8)
    assert (eight.seconds, eight.seconds_each, eight.measured) == (40, 0.5, 8)


def test_a_total_leaves_out_what_is_not_done():
    parts = [part_estimate("stage 1", 0, Timed((1.0,)), epochs=0), part_estimate("stage 2", 10, Timed((1.0, 1.0)))]
    total = total_estimate(parts, device="cpu", memory_bytes=5, memory_of="process", weights="none")
    assert [part.part for part in total.parts] == ["stage 2"]
    assert total.seconds == 10
    assert total.low < 10 < total.high


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "under 1 s"), (59.4, "59 s"), (60, "1 min"), (250, "4 min 10 s"), (1230, "20 min"), (7300, "2 h 2 min")],
)
def test_durations(seconds, said):
    assert in_time(seconds) == said


def test_counts():
    assert [counted(count, "image") for count in (0, 1, 2, 1200)] == ["0 images", "1 image", "2 images", "1,200 images"]
    assert [counted(count, "box", "boxes") for count in (1, 2)] == ["1 box", "2 boxes"]
