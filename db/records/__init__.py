"""What callers receive from the registry and hand to it: frozen, typed, free of SQLAlchemy.

Coordinates are pixels of the displayed (EXIF-upright) image: x, y, width, height, floats, top-left origin.
A location that is *known to be empty* and one that is *not known* are never the same value: see `LocationStatus`.
"""

from db.imaging.boxes import Box
from db.records.connections import ConnectionRecord, TaskLink
from db.records.history import (
    Event,
    ImageChange,
    ImageFacts,
    OperationKind,
    OperationRecord,
    RetractionRecord,
    SnapshotRecord,
)
from db.records.images import ImageRecord, NewImage, Split, Supervision
from db.records.labels import Location, LocationLabel, LocationSource, LocationStatus, NewLabel
from db.records.proposals import NewProposal, ProposalRecord
from db.records.reviews import NewReview, ReviewOutcome, ReviewRecord
from db.records.runs import RunRecord, RunStatus, run_name
from db.records.status import RegistryStatus

__all__ = [
    "Box",
    "ConnectionRecord",
    "Event",
    "ImageChange",
    "ImageFacts",
    "ImageRecord",
    "Location",
    "LocationLabel",
    "LocationSource",
    "LocationStatus",
    "NewImage",
    "NewLabel",
    "NewProposal",
    "NewReview",
    "OperationKind",
    "OperationRecord",
    "ProposalRecord",
    "RegistryStatus",
    "RetractionRecord",
    "ReviewOutcome",
    "ReviewRecord",
    "RunRecord",
    "RunStatus",
    "SnapshotRecord",
    "Split",
    "Supervision",
    "TaskLink",
    "run_name",
]
