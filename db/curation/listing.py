"""Lists images by what is known of them: class, split, location, proposal, reviewer, look-alikes."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from db.errors import InvalidArgument
from db.records import ImageRecord, ProposalRecord, Split, Supervision
from db.registry import Registry, Transaction

PAGE = 2000
"""Images that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """Which images are listed: those to which everything applies that is given."""

    class_name: str | None = None
    """Of this class; empty: of none."""
    split: str | None = None
    """train, val, test, or none."""
    supervision: Supervision | None = None
    located: bool | None = None
    """Whether the location is known; one that is known to be empty is."""
    proposed: bool | None = None
    """Whether a proposal waits for review."""
    run: str | None = None
    """Run that the proposal comes from."""
    min_score: float | None = None
    """The proposal's score, at least."""
    max_score: float | None = None
    """The proposal's score, at most."""
    reviewer: str | None = None
    """Who said what holds now."""
    look_alikes: bool = False
    """Only images that have near-duplicates."""
    limit: int | None = None
    """At most so many."""

    def __post_init__(self) -> None:
        if self.split not in (None, "none", *Split):
            raise InvalidArgument(f"--split is {', '.join(Split)} or none, got {self.split!r}")
        if self.limit is not None and self.limit < 1:
            raise InvalidArgument(f"--limit must be at least 1, got {self.limit}")

    @property
    def asks_for_proposal(self) -> bool:
        """Say whether only images with a proposal can be listed."""
        return bool(self.proposed) or any(value is not None for value in (self.run, self.min_score, self.max_score))


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
    splits = None if wanted.split is None else (None if wanted.split == "none" else Split(wanted.split),)
    with registry.read() as tx:
        ids = tx.images.ids(splits=splits, located=wanted.located)
        near = _near(tx) if wanted.look_alikes else None
    if near is not None:
        ids = [image_id for image_id in ids if image_id in near]
    given = 0
    for start in range(0, len(ids), PAGE):
        page = ids[start : start + PAGE]
        with registry.read() as tx:
            images = tx.images.select(ids=page, supervision=wanted.supervision)
            proposals = {item.image_id: item for item in tx.proposals.pending_for(page)}
            alike = _near(tx, page) if near is None else near
        for image in images:
            proposal = proposals.get(image.id)
            if not _matches(image, proposal, wanted):
                continue
            yield _row(image, proposal, alike)
            given += 1
            if given == wanted.limit:
                return


def _near(tx: Transaction, ids: list[int] | None = None) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for first, second, _ in tx.duplicates.pairs(ids):
        found[first].append(second)
        found[second].append(first)
    return found


def _matches(image: ImageRecord, proposal: ProposalRecord | None, wanted: ImageFilter) -> bool:
    if wanted.class_name is not None and (image.class_name or "") != wanted.class_name:
        return False
    if wanted.reviewer is not None and (image.label is None or image.label.reviewer != wanted.reviewer):
        return False
    if proposal is None:
        return not wanted.asks_for_proposal
    return (
        wanted.proposed is not False
        and wanted.run in (None, proposal.run_name)
        and (wanted.min_score is None or proposal.score >= wanted.min_score)
        and (wanted.max_score is None or proposal.score <= wanted.max_score)
    )


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
