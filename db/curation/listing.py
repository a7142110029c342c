"""Lists images by what is known of them: class, split, location, proposal, reviewer, look-alikes."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from db.records import ImageRecord, ProposalRecord, Split, Supervision
from db.records.images import ImageFilter
from db.registry import Registry, Transaction

PAGE = 2000
"""Images that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """What is known of an image, in a row."""

    image: int
    path: str
    class_name: str | None
    split: Split | None
    supervision: Supervision
    location: str
    """present, empty or unknown."""
    boxes: int
    """That are known."""
    source: str | None
    """Where the location comes from: imported, drawn, accepted, edited, withdrawn."""
    reviewer: str | None
    proposed: int | None
    """Boxes of the proposal that waits for review, 0 where it says that there is nothing; None where none waits."""
    score: float | None
    """Of the proposal."""
    run: str | None
    """That it comes from."""
    look_alikes: tuple[int, ...]
    """Numbers of its near-duplicates."""


def list_images(registry: Registry, wanted: ImageFilter | None = None) -> Iterator[ListedImage]:
    """Yield images in order of number; memory does not grow with their number.

    Args:
        registry: where they are.
        wanted: which; None for all.
    """
    wanted = wanted or ImageFilter()
    after, left = 0, wanted.limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        with registry.read() as tx:
            page = tx.listing.page(wanted, after=after, limit=size)
            images = tx.images.select(ids=page)
            proposals = {item.image_id: item for item in tx.proposals.pending_for(page)}
            alike = _near(tx, page)
        for image in images:
            yield _row(image, proposals.get(image.id), alike)
        if len(page) < size:
            return
        after, left = page[-1], None if left is None else left - size


def _near(tx: Transaction, ids: list[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for first, second, _ in tx.duplicates.pairs(ids):
        found[first].append(second)
        found[second].append(first)
    return found


def _row(image: ImageRecord, proposal: ProposalRecord | None, alike: dict[int, list[int]]) -> ListedImage:
    label = image.label
    return ListedImage(
        image=image.id,
        path=str(image.path),
        class_name=image.class_name,
        split=image.split,
        supervision=image.supervision,
        location=str(image.location_status),
        boxes=len(image.boxes),
        source=str(label.source) if label is not None else None,
        reviewer=label.reviewer if label is not None else None,
        proposed=len(proposal.boxes) if proposal is not None else None,
        score=proposal.score if proposal is not None else None,
        run=proposal.run_name if proposal is not None else None,
        look_alikes=tuple(sorted(set(alike.get(image.id, ())))),
    )
