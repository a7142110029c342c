"""Images that a model has scored, proposals packed, and the order in which these are quickest to confirm. Pure."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from db.records import Box, ImageRecord, NewProposal


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model predicts for an image, with the score that the gate compares with tau."""

    image: ImageRecord
    boxes: tuple[Box, ...]
    class_name: str
    class_probability: float
    score: float
    box_scores: tuple[float, ...] = ()
    """One a box."""
    presence: float | None = None
    """Probability that there is something to find; None from a model without an output for it."""
    known_class_probability: float | None = None
    """Of the class that the image is known to have."""
    entropy: float = 0.0
    """Of the lesion's pixels and a band around it, bits, 0 to 1; see `learner.inference.uncertainty`."""
    disagreement: float = 0.0
    """1 - mean Dice over pairs of views, 0 to 1."""


def most_confident(scored: Sequence[Scored]) -> list[Scored]:
    """Boxes before images with nothing to find, each with the highest score first: what is quickest to confirm.

    The two kinds of score do not compare. Equal scores are in the order of registration.
    """
    return sorted(scored, key=lambda item: (not item.boxes, -item.score, item.image.id))


class PackedProposals(Sequence[NewProposal]):
    """Proposals and the files that they are for, in columns: some 200 bytes each, a sixth of what objects take."""

    def __init__(self) -> None:
        self._class_names: dict[str, int] = {}
        self._image_N, self._class_N = array("q"), array("i")
        self._numbers_N4 = array("d")
        """Class probability, score, presence and the known class's probability; NaN where there is none."""
        self._boxes_M5, self._box_ends_N = array("d"), array("q", [0])
        """x, y, width, height and score; NaN where a box has none."""
        self._paths, self._path_ends_N = bytearray(), array("q", [0])

    def add(self, proposal: NewProposal, path: str) -> None:
        """Put a proposal after those before.

        Args:
            proposal: what is proposed.
            path: of the image that it is for.
        """
        self._image_N.append(proposal.image_id)
        self._class_N.append(self._class_names.setdefault(proposal.class_name, len(self._class_names)))
        optional = (proposal.presence, proposal.known_class_probability)
        numbers = (math.nan if number is None else number for number in optional)
        self._numbers_N4.extend((proposal.class_probability, proposal.score, *numbers))
        scores = proposal.box_scores or (math.nan,) * len(proposal.boxes)
        for box, score in zip(proposal.boxes, scores, strict=True):
            self._boxes_M5.extend((box.x, box.y, box.width, box.height, score))
        self._box_ends_N.append(len(self._boxes_M5))
        self._paths += path.encode(errors="surrogateescape")
        self._path_ends_N.append(len(self._paths))

    def extend(self, others: "PackedProposals", rows: Iterable[int] | None = None) -> None:
        """Put others after those before, all of them or some rows."""
        for n in range(len(others)) if rows is None else rows:
            self.add(others[n], others.path(n))

    def path(self, n: int) -> str:
        """Return the path of the image that a proposal is for."""
        return self._paths[self._path_ends_N[n] : self._path_ends_N[n + 1]].decode(errors="surrogateescape")

    def most_confident(self, limit: int | None = None) -> "PackedProposals":
        """Return them in the order of the function of this name, `limit` at most."""
        score_N = np.array(self._numbers_N4).reshape(-1, 4)[:, 1]
        order_N = np.lexsort((np.array(self._image_N), -score_N, np.diff(self._box_ends_N) == 0))
        found = PackedProposals()
        found.extend(self, order_N[:limit].tolist())
        return found

    def __len__(self) -> int:
        return len(self._image_N)

    @overload
    def __getitem__(self, index: int) -> NewProposal: ...
    @overload
    def __getitem__(self, index: slice) -> list[NewProposal]: ...
    def __getitem__(self, index: int | slice) -> NewProposal | list[NewProposal]:
        if isinstance(index, slice):
            return [self[n] for n in range(len(self))[index]]
        n = range(len(self))[index]
        class_probability, score, presence, of_known_class = self._numbers_N4[4 * n : 4 * n + 4]
        places = range(self._box_ends_N[n], self._box_ends_N[n + 1], 5)
        box_scores = tuple(self._boxes_M5[k + 4] for k in places)
        return NewProposal(
            image_id=self._image_N[n],
            class_name=list(self._class_names)[self._class_N[n]],
            class_probability=class_probability,
            score=score,
            boxes=tuple(Box(*self._boxes_M5[k : k + 4]) for k in places),
            box_scores=() if any(math.isnan(number) for number in box_scores) else box_scores,
            presence=None if math.isnan(presence) else presence,
            known_class_probability=None if math.isnan(of_known_class) else of_known_class,
        )
