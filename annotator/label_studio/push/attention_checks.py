"""Attention checks: proposals that are known to be wrong, to see whether annotators still look; pure.

They are made from images whose location is known: the box is moved to where nothing is, or, as often as the real
proposals say so, there is said to be nothing to find. Whatever annotators answer is counted, and never becomes a label.
"""

from collections.abc import Sequence

from annotator.label_studio.push.order import draw
from annotator.label_studio.push.plan import PlannedTask
from db.imaging.geometry import boxes_iou
from db.records import Box, ImageRecord, LocationStatus, ProposalRecord
from db.records.sync import AttentionCheck

PLACES = 64
"""Places that are tried for a wrong box."""
WRONG_IOU = 0.1
"""A box that overlaps the truth by more than this could pass for nearly right."""


def plan_attention_checks(
    candidates: Sequence[ImageRecord], shown: Sequence[ProposalRecord], share: float
) -> list[PlannedTask]:
    """Plan tasks with wrong proposals, among those with real ones.

    Args:
        candidates: images without a task; those whose location is known to be somewhere can be used.
        shown: the real proposals that new tasks show; the wrong ones take their run's name and their scores.
        share: as many wrong ones as this share of the real ones, 0 to 1.
    """
    count = round(share * len(shown))
    if not count:
        return []
    newest = max(proposal.run_id for proposal in shown)
    nothing = [proposal for proposal in shown if proposal.is_nothing]
    share_of_nothing = len(nothing) / len(shown)
    planned: list[PlannedTask] = []
    for image in sorted(candidates, key=lambda image: draw(image, "catch")):
        if len(planned) == count:
            break
        if image.location_status is not LocationStatus.PRESENT:
            continue
        says_nothing = draw(image, "catch kind") < share_of_nothing
        wrong = displaced(image)
        if says_nothing or wrong is not None:
            # The scores of boxes and of "nothing to find" are not of one kind.
            scores = sorted(proposal.score for proposal in shown if proposal.is_nothing == says_nothing)
            score = scores[int(draw(image, "catch score") * len(scores))]
            boxes = () if says_nothing or wrong is None else (wrong,)
            planned.append(PlannedTask(image, check=AttentionCheck(image.id, newest, score, boxes, image.boxes)))
    return planned


def displaced(image: ImageRecord) -> Box | None:
    """Move the largest known box to a place where nothing is; None where there is no such place."""
    largest = max(image.boxes, key=lambda box: box.area)
    for number in range(PLACES):
        x = draw(image, f"catch x {number}") * (image.width - largest.width)
        y = draw(image, f"catch y {number}") * (image.height - largest.height)
        moved = Box(x, y, largest.width, largest.height)
        if boxes_iou([moved], image.boxes) <= WRONG_IOU:
            return moved
    return None
