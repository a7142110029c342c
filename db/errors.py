"""What the registry can refuse.

RegistryError
├── RegistryMissing      no registry where one was expected
│   └── ProjectMissing   no project's folder at or above the current one
├── SchemaOutOfDate      the database's schema is older or newer than the program's
├── InvalidArgument      an argument out of range (exit code 2; also a ValueError)
├── NotFound             a named image, run, proposal or connection does not exist
│   ├── ImageUnknown     no image of this number, path or URI
│   ├── ClassUnknown     no image has this class
│   ├── RunUnknown       no run of this name
│   ├── RunMissing       no run has finished yet
│   └── NotConnected     the registry is not connected to Label Studio
├── Conflict             a statement that contradicts one already stored
└── ImageUnreadable      a file that is missing or cannot be decoded
"""


class RegistryError(Exception):
    """Root of everything the registry raises on purpose."""


class RegistryMissing(RegistryError):
    """There is no registry at this address; `partly init` creates one."""


class ProjectMissing(RegistryMissing):
    """Neither this folder nor one above it is a project; `partly init` creates one."""


class SchemaOutOfDate(RegistryError):
    """The database was made by an older or newer version; the message says which and what to do."""


class InvalidArgument(RegistryError, ValueError):
    """An argument is out of range; the message says what was expected."""


class NotFound(RegistryError):
    """A named image, run, proposal or connection does not exist."""


class ImageUnknown(NotFound):
    """There is no image with this number, path or URI."""


class ClassUnknown(NotFound):
    """No image has this class; the message names the existing classes."""


class RunUnknown(NotFound):
    """There is no run with this name."""


class RunMissing(NotFound):
    """No run has finished yet; `partly train` creates one."""


class NotConnected(NotFound):
    """The registry is not connected to a Label Studio project; `partly connect` connects it."""


class Conflict(RegistryError):
    """A statement that contradicts one already stored; nothing was written."""


class ImageUnreadable(RegistryError):
    """An image or mask file is missing or cannot be decoded; `reason` says why without the path."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason
