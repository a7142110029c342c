"""Certificates: promises about the precision of a run's proposals, and what they rest on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from db.records.runs import run_name


class CertificateKind(StrEnum):
    """What a certificate is about."""

    BOXES = "boxes"
    """Proposed boxes: right with an IoU of at least .5."""
    NOTHING = "nothing"
    """Proposals that there is nothing to find: right where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCertificate:
    """What was certified about a run, or that nothing could be."""

    run_id: int
    kind: CertificateKind
    gate: str
    tau: float | None
    """None if nothing could be certified."""
    precision: float
    """Share of the proposals above tau promised to be correct, 0 to 1."""
    confidence: float
    """Chance that the promise holds, 0 to 1."""
    accepted: int
    """Calibration images above tau; if nothing was certified, all of them."""
    errors: int
    """Those of them that were wrong."""
    lower_bound: float | None
    """Of the precision, at this confidence; None if nothing was certified."""
    needed: int
    """Minimum number of further reviewed images that a certificate needs; 0 if there is one."""
    image_ids: tuple[int, ...]
    """The calibration images."""

    @property
    def is_certified(self) -> bool:
        """Say whether a threshold was certified."""
        return self.tau is not None

    @property
    def promise(self) -> str:
        """What is certified and what it rests on, in words."""
        what = "proposed locations" if self.kind is CertificateKind.BOXES else "proposals that there is nothing to find"
        images = f"{len(self.image_ids)} reviewed validation images, one per group"
        if self.tau is None or self.lower_bound is None:
            return (
                f"no threshold for {what} has a certified precision of {_percent(self.precision)} at a confidence of "
                f"{_percent(self.confidence)}: of {images}, {self.accepted - self.errors} are correct; it takes at "
                f"least {self.needed} more"
            )
        return (
            f"{what} with a score above {self.tau:.4g} are correct in at least {_percent(self.precision)} of images, "
            f"at a confidence of {_percent(self.confidence)}: of {images}, {self.accepted} are above it, and "
            f"{self.errors} of these are wrong (lower bound of the precision {self.lower_bound:.3f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord(NewCertificate):
    """A stored certificate."""

    id: int
    created_at: datetime

    @property
    def run_name(self) -> str:
        """Public name of the run that it is about."""
        return run_name(self.run_id)


def _percent(share: float) -> str:
    return f"{100 * share:.6g}%"
