"""Turns the packages' errors into exit codes and one-line messages; anything else is a bug and keeps its traceback.

0 done, 2 usage or configuration, 3 Label Studio or network, 4 registry or data, 5 training.
"""

from annotator.errors import AnnotatorError, DataUnreadable, PortUnusable
from db.errors import InvalidArgument, RegistryError
from learner.errors import ConfigInvalid, LearnerError, StrategyUnknown

USAGE = 2
LABEL_STUDIO = 3
REGISTRY = 4
TRAINING = 5

EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (InvalidArgument, USAGE),
    (ConfigInvalid, USAGE),
    (StrategyUnknown, USAGE),
    (PortUnusable, USAGE),
    (DataUnreadable, REGISTRY),
    (AnnotatorError, LABEL_STUDIO),
    (RegistryError, REGISTRY),
    (LearnerError, TRAINING),
)
"""The first class that fits counts."""

EXPECTED = tuple(kind for kind, _ in EXIT_CODES)


def exit_code(error: Exception) -> int:
    """Return the exit code of an expected error, 1 for any other."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)
