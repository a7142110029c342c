"""Tables as spreadsheets, scripts and people write them: which bytes are text, what parts the cells, column titles."""

import csv
import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from annotator.datasets.listing.folder import read_data_file
from annotator.errors import DataUnreadable

DELIMITERS = (",", ";", "\t", "|")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""What the files of Excel begin with, the newer ones and the older."""
LONGEST_TITLES = 2**20
"""Bytes of the line that has the titles, at most."""
NOT_GIVEN = frozenset(
    {"nan", "none", "null", "n/a", "na", "<na>", "nat", "n.a.", "n.a", "nil", "-", "--", "?"}
    | {"#n/a", "#na", "#nv", "#value!", "#ref!", "#div/0!", "#name?", "#null!", "#num!"}
)
"""What people, spreadsheets and pandas write where there is nothing."""
NOT_GIVEN_SPELLED = frozenset(
    "".join(letters)
    for word in NOT_GIVEN
    for letters in itertools.product(*({letter.lower(), letter.upper()} for letter in word))
)
"""The same with every mixture of small and capital letters."""
IMAGE_TITLES = frozenset(
    {"filename", "file_name", "file name", "file", "filepath", "file_path", "path", "image_path", "image_name"}
    | {"images", "image_id", "imageid", "img", "img_path", "name", "id"}
)
"""What other programs call the column of the images."""
CLASS_TITLES = frozenset({"label", "labels", "class_name", "classname", "category", "diagnosis", "target", "finding"})
"""What they call that of the classes."""
BOX_TITLES = frozenset(
    {"xmin", "ymin", "xmax", "ymax", "x_min", "y_min", "x_max", "y_max", "x1", "y1", "x2", "y2", "left", "top", "right"}
    | {"bottom", "bbox", "box", "w", "h", "bx", "by", "bw", "bh", "x_center", "y_center", "region_shape_attributes"}
)
"""What they call those of a box."""


class Table:
    """A table with one line of titles."""

    def __init__(self, place: str | Path, columns: Collection[str], needed: str, hints: Collection[str] = ()) -> None:
        """Open a table and read its titles.

        Args:
            place: the file, or a URI.
            columns: titles that mean something, in small letters; they are found in capitals too.
            needed: the column without which it is no such table.
            hints: titles that other programs have for it.

        Raises:
            DataUnreadable: no such file, it is no text in UTF-8 or UTF-16, lacks the column, or has one twice.
        """
        self.place = place
        self._stream = _text(read_data_file(place), place)
        try:
            self._skip_remarks()
            start = self._stream.tell()
            line = self._stream.readline(LONGEST_TITLES)
            by_mark = {mark: _titles([line], mark, columns) for mark in DELIMITERS}
            self.delimiter = max(by_mark, key=lambda mark: (needed in by_mark[mark], len(by_mark[mark])))
            self._stream.seek(start)
            self._reader = csv.reader(self._stream, strict=True, delimiter=self.delimiter)
            self.titles = _plain(next(self._reader, ()), columns)
        except (UnicodeError, csv.Error) as exc:
            raise self.unreadable(exc) from exc
        if needed not in self.titles:
            raise DataUnreadable(f"{place}: {_lacking(needed, self.titles, columns, hints)}")
        twice = [title for title, count in Counter(self.titles).items() if count > 1 and title in columns]
        if twice:
            raise DataUnreadable(f"{place}: the column {twice[0]!r} is there twice; keep one")

    @property
    def line(self) -> int:
        """The number of the line that was read last, from 1."""
        return self._before + self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the cells of each row.

        Raises:
            UnicodeError: it is no text; csv.Error: quotes are not closed. See `unreadable`.
        """
        return iter(self._reader)

    def unreadable(self, exc: Exception) -> DataUnreadable:
        """Say what is wrong with a table that cannot be read to its end."""
        if isinstance(exc, UnicodeError):
            return DataUnreadable(f"{self.place}: it is not UTF-8 ({exc}); save it as UTF-8, in Excel: CSV UTF-8")
        return DataUnreadable(f"{self.place}: it cannot be read as a CSV file ({exc})")

    def _skip_remarks(self) -> None:
        """Pass over lines before the titles that say nothing of them: remarks, blank ones, and Excel's `sep=;`."""
        self._before = 0
        while True:
            start = self._stream.tell()
            line = self._stream.readline(LONGEST_TITLES)
            if not line or not (line.startswith("#") or not line.strip() or line.lower().startswith("sep=")):
                self._stream.seek(start)
                return
            self._before += 1


def _text(data: bytes, place: str | Path) -> TextIO:
    """Return a file's text, decoded as it is asked for: the whole would need several times more memory."""
    if data.startswith(WORKBOOKS):
        raise DataUnreadable(f"{place}: it is an Excel workbook; save it as CSV UTF-8")
    encoding = "utf-16" if data.startswith(UTF16) else "utf-8-sig"
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding, newline="")


def _titles(lines: Iterable[str], delimiter: str, columns: Collection[str]) -> list[str]:
    try:
        return _plain(next(csv.reader(lines, delimiter=delimiter), ()), columns)
    except csv.Error:
        return []


def _plain(titles: Iterable[str], columns: Collection[str]) -> list[str]:
    stripped = [title.strip() for title in titles]
    return [title.lower() if title.lower() in columns else title for title in stripped]


def _lacking(needed: str, titles: Sequence[str], columns: Collection[str], hints: Collection[str]) -> str:
    near = [title for title in titles if title.lower() in hints]
    if near:
        return f"there is no column {needed!r}; if it is {near[0]!r}, call it {needed!r}"
    found = ", ".join(titles[:20]) or "nothing"
    return f"expected columns {', '.join(columns)}; found {found}"
