"""What the registry can refuse.

RegistryError
├── RegistryMissing      no registry where one was expected
├── SchemaOutOfDate      the database's schema is older or newer than the program's
├── InvalidArgument      an argument out of range (exit code 2; also a ValueError)
├── NotFound             a named image, run, proposal or connection does not exist
├── Conflict             a statement that contradicts one already stored
└── ImageUnreadable      a file that is missing or cannot be decoded
"""


class RegistryError(Exception):
    """Root of everything the registry raises on purpose."""


class RegistryMissing(RegistryError):
    """There is no registry at this address; `partly init` makes one."""


class SchemaOutOfDate(RegistryError):
    """The database was made by an older or a newer program; the message says which and what to do."""


class InvalidArgument(RegistryError, ValueError):
    """An argument is out of range; the message says what was expected."""


class NotFound(RegistryError):
    """A named image, run, proposal or connection does not exist."""


class Conflict(RegistryError):
    """A statement that contradicts one already stored; nothing was written."""


class ImageUnreadable(RegistryError):
    """An image or mask file is missing or cannot be decoded; `reason` says why without the path."""

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason
