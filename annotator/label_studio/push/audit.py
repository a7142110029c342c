"""The audit: random validation images among the new tasks, sent without a proposal; pure.

What people say about them, without having seen a proposal, is what `partly propose --tau auto` rests on. A task of the
audit is like any other without a proposal, so nobody can tell which they are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from annotator.label_studio.push.order import Placed, among, draw, is_chosen
from annotator.label_studio.push.plan import PlannedTask, PushPlan, PushRequest
from annotator.label_studio.sync_report import Skipped
from db.records import ImageRecord, Split


def audit_candidates(
    images: Sequence[ImageRecord], groups: Mapping[int, str], covered: Collection[int]
) -> list[ImageRecord]:
    """Choose images for the audit, in random order: one of each group, since further ones are no further evidence.

    Args:
        images: validation images whose location is not known.
        groups: the name of each image's group.
        covered: images that are reviewed, or about to be; their groups need no other.
    """
    taken = {groups[image_id] for image_id in covered if image_id in groups}
    chosen: list[ImageRecord] = []
    for image in sorted(images, key=lambda image: draw(image, "audit")):
        if groups[image.id] not in taken:
            taken.add(groups[image.id])
            chosen.append(image)
    return chosen


def mark_audit(plan: PushPlan, audited: Collection[int]) -> None:
    """Hold the proposals of a query's audit back, also those that are made while its tasks wait.

    Args:
        plan: what would be created; changed in place.
        audited: images of the query's audit.
    """
    plan.create = [
        replace(task, control=task.image.split is not Split.VAL, audit=True) if task.image.id in audited else task
        for task in plan.create
    ]


def add_audit(plan: PushPlan, candidates: Sequence[ImageRecord], request: PushRequest) -> None:
    """Fill the share of the new tasks that is asked for, as far as there are candidates; other tasks make room.

    Args:
        plan: what would be created without an audit; changed in place. Its validation images count towards the share.
        candidates: images without a task, in the order in which they are taken.
        request: its audit share and limit.
    """
    share, limit = request.audit_share, request.limit
    if not share:
        return
    blind = [task for task in plan.create if task.image.split is Split.VAL]
    others = [task for task in plan.create if task.image.split is not Split.VAL]
    if share == 1:
        wanted = len(blind) + len(candidates) if limit is None else limit
    else:
        wanted = round(share * len(others) / (1 - share))
        wanted = wanted if limit is None else min(wanted, round(share * limit))
    added = candidates[: max(0, wanted - len(blind))]
    room = 0 if share == 1 else len(others) if limit is None else max(0, limit - len(blind) - len(added))
    why = "beyond --limit" if share < 1 else "an --audit-share of 1 sends validation images only"
    plan.skipped += [Skipped(why, task.image.id) for task in others[room:]]
    left = {task.image.id for task in others[room:]}
    kept = {task.image.id: task for task in plan.create if task.image.id not in left}
    places = [Placed(task.image, task.proposal, task.rank) for task in kept.values()]
    plan.create = [
        kept[placed.image.id]
        if placed.image.id in kept
        else PlannedTask(
            placed.image,
            annotators=2 if is_chosen(placed.image, "second", request.second_share) else 1,
            place=placed.rank,
            audit=True,
        )
        for placed in among(places, added)
    ]
