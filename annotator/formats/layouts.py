"""The layouts that can be imported, by name."""

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

from annotator.formats import csv_table, folders
from annotator.formats.listing import Listing
from db.errors import InvalidArgument

READERS: MappingProxyType[str, Callable[[Path], Listing]] = MappingProxyType(
    {"csv": csv_table.read, "folders": folders.read}
)


def read_layout(layout: str, path: Path) -> Listing:
    """List a data set.

    Raises:
        InvalidArgument: there is no such layout.
        DataUnreadable: the listing cannot be read at all.
    """
    if layout not in READERS:
        raise InvalidArgument(f"unknown layout {layout!r}; expected one of: {', '.join(READERS)}")
    return READERS[layout](path)
