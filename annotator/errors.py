"""What can go wrong between people's files, Label Studio and the registry.

AnnotatorError
├── DataUnreadable           a data set whose listing cannot be read at all (exit code 4)
│   └── DataSuspicious       a data set that seems to be read in the wrong layout
├── LabelStudioError         anything on the way to Label Studio (exit code 3)
│   ├── ConnectionFailed     the server cannot be reached, or broke off
│   ├── AuthRejected         the token is missing or refused
│   ├── ProjectUnusable      the project is gone, or its labeling interface is not ours
│   ├── IncompleteListing    the server listed less than it says it has
│   ├── RequestRefused       the server answered, but not with what was asked for
│   └── SyncBusy             another push to the same project is running
├── PortUnusable             a port cannot be listened on (exit code 2)
└── StudioFailed             the local server cannot be installed, started or stopped (exit code 3)
    └── StudioStopped        the local server is needed and not running
"""


class AnnotatorError(Exception):
    """Root of everything the annotator raises on purpose."""


class DataUnreadable(AnnotatorError):
    """A data set whose listing cannot be read at all; single bad files are refusals, not errors."""


class DataSuspicious(DataUnreadable):
    """A data set whose layout seems to be wrong; nothing of it was registered."""


class LabelStudioError(AnnotatorError):
    """Anything that goes wrong in communication with Label Studio. No token or header is ever part of a message."""


class ConnectionFailed(LabelStudioError):
    """The server cannot be reached, or the connection was lost."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        """Seconds that the server asked to wait for, None where it said nothing."""


class AuthRejected(LabelStudioError):
    """The token is missing or refused."""


class ProjectUnusable(LabelStudioError):
    """The project is gone, or partly cannot work with its labeling interface."""


class IncompleteListing(LabelStudioError):
    """The server listed less than it says it has; nothing was concluded from it."""


class RequestRefused(LabelStudioError):
    """The server answered, but not with what was asked for."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status, None where the answer was of another form."""


class SyncBusy(LabelStudioError):
    """Another push to the same project is running."""


class PortUnusable(AnnotatorError):
    """A port of this machine cannot be listened on."""


class StudioFailed(AnnotatorError):
    """The local Label Studio cannot be installed, started or stopped."""


class StudioStopped(StudioFailed):
    """The local Label Studio is needed but not running; `partly studio start` starts it."""
