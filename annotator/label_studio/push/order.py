"""In which order images are sent, and shares of them that are chosen by content; pure.

Validation images judge the proposals. They are sent without one and in random order among the others, so that which of
them are reviewed first does not depend on what a model thinks of them, and nobody can tell them by their place.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from db.records import ImageRecord, ProposalRecord, Split


@dataclass(frozen=True, slots=True)
class Placed:
    """An image in its place."""

    image: ImageRecord
    proposal: ProposalRecord | None
    """What it is sent with; None for validation images, whatever is proposed for them."""
    rank: float
    """What it is ordered by; a validation image has that of the image it stands beside."""


def in_order(images: Sequence[ImageRecord], proposals: Mapping[int, ProposalRecord]) -> list[Placed]:
    """Order images: the surest proposals first, then those without one, and validation images anywhere among them.

    Args:
        images: to be sent.
        proposals: pending ones, by image.
    """
    shown = [Placed(image, proposals.get(image.id), _rank(proposals.get(image.id))) for image in images]
    others = [placed for placed in shown if placed.image.split is not Split.VAL]
    others.sort(key=lambda placed: (placed.rank, placed.image.id))
    blind = [placed.image for placed in shown if placed.image.split is Split.VAL]
    return among(others, blind)


def among(others: Sequence[Placed], blind: Sequence[ImageRecord]) -> list[Placed]:
    """Put images that are sent without a proposal at random places among others, which keep their order."""
    places: list[tuple[float, Placed]] = [(float(n), placed) for n, placed in enumerate(others)]
    for image in blind:
        place = draw(image, "place") * len(others)
        rank = others[int(place)].rank if others else _rank(None)
        places.append((place if others else draw(image, "place"), Placed(image, None, rank)))
    return [placed for _, placed in sorted(places, key=lambda item: item[0])]


def _rank(proposal: ProposalRecord | None) -> float:
    return -proposal.score if proposal is not None else 1.0


def is_chosen(image: ImageRecord, purpose: str, share: float) -> bool:
    """Choose a share of images by content alone: the same ones every time, and nobody can guess which."""
    return draw(image, purpose) < share


def draw(image: ImageRecord, purpose: str) -> float:
    """Draw a number from 0 to 1 for an image, always the same for one purpose."""
    digest = hashlib.sha256(f"{purpose}/{image.content_hash}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
