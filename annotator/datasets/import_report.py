"""What an import did, and what it has done so far."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotator.datasets.listing.entries import NOTHING, Counts, Refusal, Unused, total, unused_in_words


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    registered: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    not_opened: int = 0
    """Images whose file a dry run of a large data set only looked for; they count as valid."""
    operation: int | None = None
    """The import's number, for undoing it; None if nothing changed or on a dry run."""
    recognised: str | None = None
    """The layout that was detected, and why; None if it was given."""
    near_duplicates: int = 0
    """Pairs of images that show the same thing, at least one of them new."""
    there: Counts = NOTHING
    """What the data set holds; `used` and `unused` add up to it."""
    used: Counts = NOTHING
    unused: Counts = NOTHING
    not_used: list[Unused] = field(default_factory=list)
    """What led to neither an image nor a refusal, each with the reason."""
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


SHOWN = 3
"""Refusals of the same kind that are shown to people."""
VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\S+\.\w+|[-+]?\d[\d.,e+-]*")
"""What differs between reasons of one kind: quoted text, names of files, numbers."""


def shown_refusals(refused: Sequence[Refusal]) -> list[tuple[str, str]]:
    """Choose what people are shown of many refusals: the first ones of every kind, and how many more there are.

    Returns:
        Rows of file and reason.
    """
    kinds: dict[str, list[Refusal]] = {}
    for refusal in refused:
        kinds.setdefault(VARYING.sub("_", refusal.reason), []).append(refusal)
    rows = []
    for items in kinds.values():
        rows += [(item.file, item.reason) for item in items[:SHOWN]]
        if len(items) > SHOWN:
            rows.append((f"and {len(items) - SHOWN} more", "of the same kind; --json lists all"))
    return rows


@dataclass(slots=True)
class Tally:
    """What an import under way has done so far."""

    refused: list[Refusal]
    unused: list[Unused]
    warnings: list[str]
    there: Counts
    used: Counts = NOTHING
    registered: int = 0
    updated: int = 0
    moved: int = 0
    unchanged: int = 0
    not_opened: int = 0
    operation: int | None = None
    thumbnails: list[bytes] = field(default_factory=list)
    """Of new images, in a dry run."""

    def report(self, *, near_duplicates: int) -> ImportReport:
        """Sum up."""
        unused = total(item.counts for item in self.unused) + total(item.counts for item in self.refused)
        return ImportReport(
            registered=self.registered,
            updated=self.updated,
            moved=self.moved,
            unchanged=self.unchanged,
            not_opened=self.not_opened,
            operation=self.operation,
            near_duplicates=near_duplicates,
            there=self.there,
            used=self.used,
            unused=unused,
            not_used=self.unused,
            refused=self.refused,
            warnings=[*self.warnings, *unused_in_words(self.unused)],
        )
