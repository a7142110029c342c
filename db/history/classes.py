"""Which class holds for images whose class reviewers stated: worked out anew whenever a statement comes or goes.

Only reviews decide here, and only where nothing else does: a class that was imported or set by hand stays as it is.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from db.records import Split
from db.records.class_labels import ClassLabelRecord
from db.registry import Transaction

Decide = Callable[[Sequence[ClassLabelRecord]], str | None]
"""Takes the statements about an image, one a reviewer and oldest first; returns the class that holds, None for none."""


@dataclass(slots=True)
class SettledClasses:
    """What became of the classes of images."""

    changed: list[int] = field(default_factory=list)
    """Images with a class that they did not have before, or without one that they had."""
    contested: list[int] = field(default_factory=list)
    """Images whose reviewers disagree so that no class holds."""


def settle_classes(
    tx: Transaction,
    image_ids: Iterable[int],
    *,
    origin: str,
    decide: Decide | None = None,
    operation_id: int | None = None,
    change_test: bool = False,
) -> SettledClasses:
    """Make the class that reviewers agree on the class of these images, where it is theirs to decide.

    Args:
        tx: a writing transaction.
        image_ids: images about which a statement came or went.
        origin: who or what decides, in words, for the history.
        decide: chooses between reviewers; None for the class that all of them state.
        operation_id: the pull that brought the statements, which can be undone; None if it is not a pull: then the
            change goes with the pull that brought the last statement.
        change_test: change test images too.
    """
    wanted = set(image_ids)
    said, theirs = tx.class_labels.standing(wanted), tx.class_labels.stated_by_reviews(wanted)
    last_pulls = tx.class_labels.last_pulls(wanted) if operation_id is None else {}
    settled = SettledClasses()
    for image in tx.images.select(ids=wanted):
        if image.class_name is not None and image.id not in theirs:
            continue
        if image.split is Split.TEST and not change_test:
            continue
        opinions = _latest_of_each(said.get(image.id, []))
        holds = (decide or unanimous_class)(opinions) if opinions else None
        if opinions and holds is None:
            settled.contested.append(image.id)
        if holds != image.class_name:
            tx.images.set_facts(
                image.id,
                class_name=holds,
                group=image.group,
                split=image.split,
                origin=origin,
                operation_id=operation_id if operation_id is not None else last_pulls.get(image.id),
            )
            settled.changed.append(image.id)
    return settled


def unanimous_class(opinions: Sequence[ClassLabelRecord]) -> str | None:
    """Return the class that all statements name, None where they differ."""
    names = {opinion.class_name for opinion in opinions}
    return names.pop() if len(names) == 1 else None


def _latest_of_each(labels: Sequence[ClassLabelRecord]) -> list[ClassLabelRecord]:
    latest: dict[str, ClassLabelRecord] = {}
    for label in labels:
        latest.pop(label.reviewer, None)
        latest[label.reviewer] = label
    return list(latest.values())
