"""Turns the packages' errors into exit codes, codes for scripts, and messages with what to type.

0 done, 2 usage or configuration, 3 Label Studio or network, 4 registry or data, 5 training. Anything else is a bug: it
keeps its traceback, and the exit code is 1.
"""

import re
from dataclasses import dataclass

from annotator import errors as of_annotator
from db import errors as of_registry
from learner import errors as of_learner

USAGE = 2
LABEL_STUDIO = 3
REGISTRY = 4
TRAINING = 5
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What scripts are told about a class of errors."""

    error: type[Exception]
    exit_code: int
    code: str
    """Stable name, `error.code` under --json."""


KINDS = (
    ErrorKind(of_registry.InvalidArgument, USAGE, "invalid_argument"),
    ErrorKind(of_registry.ProjectMissing, REGISTRY, "not_a_project"),
    ErrorKind(of_registry.RegistryMissing, REGISTRY, "no_registry"),
    ErrorKind(of_registry.SchemaOutOfDate, REGISTRY, "schema_out_of_date"),
    ErrorKind(of_registry.ImageUnknown, REGISTRY, "unknown_image"),
    ErrorKind(of_registry.ClassUnknown, REGISTRY, "unknown_class"),
    ErrorKind(of_registry.RunUnknown, REGISTRY, "unknown_run"),
    ErrorKind(of_registry.RunMissing, REGISTRY, "no_run"),
    ErrorKind(of_registry.NotConnected, REGISTRY, "not_connected"),
    ErrorKind(of_registry.NotFound, REGISTRY, "not_found"),
    ErrorKind(of_registry.Conflict, REGISTRY, "conflict"),
    ErrorKind(of_registry.ImageUnreadable, REGISTRY, "image_unreadable"),
    ErrorKind(of_registry.RegistryError, REGISTRY, "registry_error"),
    ErrorKind(of_annotator.DataSuspicious, REGISTRY, "data_suspicious"),
    ErrorKind(of_annotator.DataUnreadable, REGISTRY, "data_unreadable"),
    ErrorKind(of_annotator.ConnectionFailed, LABEL_STUDIO, "no_server"),
    ErrorKind(of_annotator.StudioStopped, LABEL_STUDIO, "no_server"),
    ErrorKind(of_annotator.AuthRejected, LABEL_STUDIO, "bad_token"),
    ErrorKind(of_annotator.ProjectUnusable, LABEL_STUDIO, "project_unusable"),
    ErrorKind(of_annotator.IncompleteListing, LABEL_STUDIO, "incomplete_listing"),
    ErrorKind(of_annotator.RequestRefused, LABEL_STUDIO, "request_refused"),
    ErrorKind(of_annotator.SyncBusy, LABEL_STUDIO, "sync_busy"),
    ErrorKind(of_annotator.PortUnusable, USAGE, "port_unusable"),
    ErrorKind(of_annotator.StudioFailed, LABEL_STUDIO, "studio_failed"),
    ErrorKind(of_annotator.LabelStudioError, LABEL_STUDIO, "label_studio_error"),
    ErrorKind(of_annotator.AnnotatorError, LABEL_STUDIO, "annotator_error"),
    ErrorKind(of_learner.SettingUnknown, USAGE, "unknown_setting"),
    ErrorKind(of_learner.ConfigInvalid, USAGE, "invalid_setting"),
    ErrorKind(of_learner.StrategyUnknown, USAGE, "unknown_strategy"),
    ErrorKind(of_learner.ImagesMissing, TRAINING, "no_images"),
    ErrorKind(of_learner.DataInvalid, TRAINING, "data_invalid"),
    ErrorKind(of_learner.WeightsUnavailable, TRAINING, "weights_unavailable"),
    ErrorKind(of_learner.CheckpointIncompatible, TRAINING, "checkpoint_unusable"),
    ErrorKind(of_learner.CheckpointNotSaved, TRAINING, "checkpoint_not_saved"),
    ErrorKind(of_learner.RunInUse, TRAINING, "run_in_use"),
    ErrorKind(of_learner.TrainingDiverged, TRAINING, "training_diverged"),
    ErrorKind(of_learner.OutOfMemory, TRAINING, "out_of_memory"),
    ErrorKind(of_learner.CompilationFailed, TRAINING, "compilation_failed"),
    ErrorKind(of_learner.StrategyUnusable, TRAINING, "strategy_unusable"),
    ErrorKind(of_learner.CheckUnavailable, TRAINING, "check_unavailable"),
    ErrorKind(of_learner.ExportUnavailable, TRAINING, "export_unavailable"),
    ErrorKind(of_learner.ExportFailed, TRAINING, "export_failed"),
    ErrorKind(of_learner.TorchMismatched, TRAINING, "torch_mismatched"),
    ErrorKind(of_learner.LearnerError, TRAINING, "training_error"),
)
"""The first class that fits counts."""

OTHER_CODES = {
    "usage": (USAGE, "There is no such command or option, or the option does not take this value"),
    "disk_unwritable": (REGISTRY, "No space is left, or the folder is not writable"),
    "interrupted": (INTERRUPTED, "Ctrl-C was pressed"),
    "bug": (1, "An error in the program itself; the traceback is on stderr"),
}
"""Codes of what is no error of a package: the exit code, and when."""

EXPECTED = tuple(kind.error for kind in KINDS)

ADVICE = re.compile(
    r"partly [a-z]|pip install|did you mean|--[a-z]|"
    r"^(add|check|choose|give|name|free|install|make|review|save|set|try|use)\b",
    re.IGNORECASE,
)
"""What the last part of a message has in it if it says what to do."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """What a command answers where it cannot do what was asked."""

    code: str
    message: str
    """What happened, and why."""
    hint: str | None
    """What to do or to type, where that is known."""


def exit_code(error: Exception) -> int:
    """Return the exit code of an expected error, 1 for any other."""
    return next((kind.exit_code for kind in KINDS if isinstance(error, kind.error)), 1)


def answer_to(error: Exception) -> ErrorAnswer:
    """Describe an error for scripts.

    Args:
        error: any; one that is not expected has the code `bug`.
    """
    code = next((kind.code for kind in KINDS if isinstance(error, kind.error)), "bug")
    if code == "bug":
        return ErrorAnswer(code, f"{type(error).__name__}: {error}", None)
    return ErrorAnswer(code, *split_hint(str(error)))


def split_hint(text: str) -> tuple[str, str | None]:
    """Split a message into what happened and what to do about it.

    Messages say the remedy last: "there is no partly project here; create one with: partly init".
    """
    at = max(text.rfind("; "), text.rfind(". "))
    if at < 0 or not ADVICE.search(text[at + 2 :]):
        return text, None
    return text[:at], text[at + 2 :]
