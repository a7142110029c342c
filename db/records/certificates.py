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
    """None where nothing could be certified."""
    precision: float
    """Share of the proposals above tau that is promised to be right, 0 to 1."""
    confidence: float
    """Chance that the promise holds, 0 to 1."""
    accepted: int
    """Calibration images above tau; where nothing was certified, all that there were."""
    errors: int
    """Those of them that were wrong."""
    lower_bound: float | None
    """Of the precision, at this confidence; None where nothing was certified."""
    needed: int
    """Further reviewed images that a certificate takes at least; 0 where there is one."""
    image_ids: tuple[int, ...]
    """The calibration images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord(NewCertificate):
    """A stored certificate."""

    id: int
    created_at: datetime

    @property
    def run_name(self) -> str:
        """Public name of the run that it is about."""
        return run_name(self.run_id)

    @property
    def is_certified(self) -> bool:
        """Say whether a threshold was certified."""
        return self.tau is not None
