import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from learner.query.learning_curve import Curve
from learner.query.plan_rounds import CurvePoint, LoopPlan, RecentGain
from learner.query.rounds import RoundSummary
from learner.reporting.rounds_page import ReviewNumbers, ScoreRow, ShownRow, draw_curve, write_rounds_page

ROUND = RoundSummary(
    round=1, run=None, snapshot=None, seed=None, begun="2026-11-02 09:30", located=0, reviews=0, minutes=None, iou=None,
    ap50_all=None, auc=None, tau=None, query=1, strategy="typical", asked={"confirm": 0, "draw": 45, "audit": 5},
    answered=50,
)  # fmt: skip
ROUNDS = (
    ROUND,
    replace(ROUND, round=2, run="run-1", located=45, reviews=50, minutes=22.4, iou=0.41, auc=0.87, query=2),
    replace(ROUND, round=3, run="run-2", located=90, reviews=50, minutes=14.0, iou=0.49, auc=0.9, query=3),
    replace(ROUND, round=4, run="run-3", located=135, reviews=50, minutes=9.6, iou=0.53, auc=0.92, query=None),
)
PLAN = LoopPlan(
    images=60,
    points=tuple(
        CurvePoint(n + 2, f"run-{n + 1}", 45 * (n + 1), iou, iou - 0.06, iou + 0.06)
        for n, iou in enumerate((0.41, 0.49, 0.53))
    ),
    curve=Curve(0.7, 2.0, 0.5),
    next=None,
    target=None,
    recent=RecentGain(2, 0.12, 0.05, 0.19, below_noise=False),
    advice="the last 2 rounds gained +0.120 in IoU (+0.050 to +0.190); 50 more boxes are expected to add +0.021",
)
REVIEWS = ReviewNumbers(
    reviews=150, minutes=46.0, people=2,
    by_score=(ScoreRow("0.8 to 0.9", 40, 22, 12, 6), ScoreRow("0.9 to 1.0", 30, 27, 2, 1)),
    shown=(ShownRow(True, 70, 63, 6.0), ShownRow(False, 10, 8, 21.0)), drawn_seconds=24.0, proposed_seconds=7.0,
    proposed=63,
)  # fmt: skip
NO_REVIEWS = ReviewNumbers(0, 0.0, 0, (), (), None, None, 0)
PROMISE = "run-3: proposed locations with a score above 0.83 are correct in at least 85% of images"


def written(folder, *given):
    return write_rounds_page(folder / "new" / "rounds.html", *given).read_text(encoding="utf-8")


def test_the_page_says_what_was_reached_and_what_comes_next(tmp_path):
    page = written(tmp_path, "Breast", ROUNDS, REVIEWS, PLAN, [PROMISE])
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "After 4 rounds the location is known in 135 images." in text
    assert "by 0.53 on average (0.47 to 0.59), on 60 images that it has not learned from" in text
    assert "The last 2 rounds gained +0.120" in text
    assert "150 reviews by 2 people, 46 min in all." in text
    # 63 proposals at 17 s less each.
    assert "took 24 s, a proposal 7 s: on 63 proposals that saved 18 min" in text
    assert "withheld (audit) 10 8 (80%) 21 s" in text
    assert "50 (0 to confirm, 45 to draw, 5 audit)" in text
    assert PROMISE in text


def test_nothing_on_it_comes_from_elsewhere(tmp_path):
    page = written(tmp_path, "Breast", ROUNDS, REVIEWS, PLAN, [PROMISE])
    assert not re.findall(r"(?:src|href)=|@import|url\(|<script|https?:", page)


def test_names_are_shown_as_they_are(tmp_path):
    page = written(tmp_path, "<b>A & B</b>", ROUNDS, REVIEWS, PLAN, ["<i>sure</i>"])
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in page
    assert "<i>" not in page


def test_before_there_is_anything(tmp_path):
    assert "There are no rounds yet." in written(tmp_path, "Breast", (), NO_REVIEWS, None, [])
    page = written(tmp_path, "Breast", (ROUND,), NO_REVIEWS, None, [])
    assert "1 round so far; there is nothing to judge the model by yet" in page
    assert "<svg" not in page
    assert "saved" not in page


def test_proposals_that_cost_time_are_not_said_to_save_it():
    assert replace(REVIEWS, proposed_seconds=30.0).saved_minutes == pytest.approx(-6.3)
    assert replace(REVIEWS, drawn_seconds=None).saved_minutes is None


def test_the_curve_lies_within_its_drawing():
    svg = ET.fromstring(draw_curve(PLAN))
    _, _, width, height = map(float, svg.get("viewBox").split())
    circles = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in svg.iter("circle")]
    assert len(circles) == 3
    assert circles == sorted(circles, key=lambda place: (place[0], -place[1])), "more locations, more overlap"
    points = [tuple(map(float, pair.split(","))) for pair in svg.find("polyline").get("points").split()]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in (*circles, *points))
    assert svg.find("polyline") is not None
    without = ET.fromstring(draw_curve(replace(PLAN, curve=None, points=PLAN.points[:1])))
    assert without.find("polyline") is None
