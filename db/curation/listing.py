"""Lists images by what is known of them: class, split, location, proposal, reviewer, look-alikes."""

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from db.errors import ClassUnknown
from db.records import ImageRecord, ProposalRecord, Split, Supervision
from db.records.images import ImageFilter
from db.registry import Registry, Transaction

PAGE = 2000
"""Images that are in memory at a time."""
MOST_CLASSES = 12
"""Classes that are listed where one is mistyped."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """What is known about an image, as a row."""

    image: int
    path: str
    class_name: str | None
    split: Split | None
    supervision: Supervision
    location: str
    """present, empty or unknown."""
    boxes: int
    """Number of known boxes."""
    source: str | None
    """Where the location comes from: imported, drawn, accepted, edited, withdrawn."""
    reviewer: str | None
    proposed: int | None
    """Number of boxes of the pending proposal, 0 if it is that the image is empty; None if there is none."""
    score: float | None
    """Score of the proposal."""
    run: str | None
    """Run that the proposal comes from."""
    look_alikes: tuple[int, ...]
    """Numbers of its near-duplicates."""


def list_images(registry: Registry, wanted: ImageFilter | None = None) -> Iterator[ListedImage]:
    """Yield images in order of number; memory does not grow with their number.

    Args:
        registry: where they are.
        wanted: which; None for all.

    Raises:
        ClassUnknown: no image has the class; RunUnknown: there is no such run.
    """
    wanted = wanted or ImageFilter()
    with registry.read() as tx:
        if wanted.class_name:
            check_class(tx, wanted.class_name)
        if wanted.run is not None:
            tx.runs.get(wanted.run)
    return _listed(registry, wanted)


def _listed(registry: Registry, wanted: ImageFilter) -> Iterator[ListedImage]:
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


def check_class(tx: Transaction, name: str) -> None:
    """Refuse a class that no image has; the message names the nearest one, and all there are.

    Raises:
        ClassUnknown: there is none of this name, though there are others.
    """
    names = list(tx.status.count().classes)
    if not names or name in names:
        return
    near = nearest_class(name, names)
    meant = f"did you mean {near!r}? " if near else ""
    listed = ", ".join(names[:MOST_CLASSES]) + (", ..." if len(names) > MOST_CLASSES else "")
    raise ClassUnknown(f"no image has the class {name!r}; {meant}there are: {listed}")


def nearest_class(name: str, names: Iterable[str]) -> str | None:
    """Return the class that is most like a mistyped one, None where none is."""
    by_lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


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
