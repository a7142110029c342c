"""Every error that a method of a project raises on purpose, to catch: three roots, one for each part.

from partly.errors import LearnerError, RegistryMissing
"""

from annotator.errors import (
    AnnotatorError,
    AuthRejected,
    ConnectionFailed,
    DataSuspicious,
    DataUnreadable,
    IncompleteListing,
    LabelStudioError,
    PortUnusable,
    ProjectUnusable,
    RequestRefused,
    StudioFailed,
    SyncBusy,
)
from db.errors import (
    Conflict,
    ImageUnreadable,
    InvalidArgument,
    NotFound,
    RegistryError,
    RegistryMissing,
    SchemaOutOfDate,
)
from learner.errors import (
    CheckpointIncompatible,
    CheckpointNotSaved,
    CheckUnavailable,
    CompilationFailed,
    ConfigInvalid,
    DataInvalid,
    ExportFailed,
    ExportUnavailable,
    LearnerError,
    OutOfMemory,
    RunInUse,
    StrategyUnknown,
    StrategyUnusable,
    TorchMismatched,
    TrainingDiverged,
    WeightsUnavailable,
)

__all__ = [
    "AnnotatorError", "AuthRejected", "CheckUnavailable", "CheckpointIncompatible", "CheckpointNotSaved",
    "CompilationFailed", "ConfigInvalid", "Conflict", "ConnectionFailed", "DataInvalid", "DataSuspicious",
    "DataUnreadable", "ExportFailed", "ExportUnavailable", "ImageUnreadable", "IncompleteListing",
    "InvalidArgument", "LabelStudioError", "LearnerError",
    "NotFound", "OutOfMemory", "PortUnusable", "ProjectUnusable", "RegistryError", "RegistryMissing",
    "RequestRefused", "RunInUse", "SchemaOutOfDate", "StrategyUnknown", "StrategyUnusable", "StudioFailed",
    "SyncBusy", "TorchMismatched", "TrainingDiverged", "WeightsUnavailable",
]  # fmt: skip
