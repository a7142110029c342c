"""Tables as spreadsheets, scripts and people write them: which bytes are text, what parts the cells, column titles."""

import csv
import io
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from annotator.datasets.listing.folder import encoding_of, read_data_file
from annotator.errors import DataUnreadable

DELIMITERS = (",", ";", "\t", "|")
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
    {
        "filename",
        "file_name",
        "file name",
        "file",
        "filepath",
        "file_path",
        "path",
        "image_path",
        "image_name",
        "img_path",
    }
)
"""What other programs call the column of the images."""
IMAGE_HINTS = frozenset(
    {"images", "image_id", "imageid", "image id", "image index", "img", "name", "id", "id_code", "isic_id", "patientid"}
)
"""What may be that column, or numbers of something."""
CORNER_TITLES = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
"""What other programs call the sides of a box."""
SIZE_TITLES = ("image width", "image height")
"""What the columns of an image's size are called here."""
CLASS_TITLES = frozenset({"label", "labels", "class_name", "classname", "category", "diagnosis", "target", "finding"})
"""What they call that of the classes."""
SEVERAL = "\0"
"""Stands between classes where several columns of one row hold a 1."""
BOX_TITLES = frozenset(
    {title for titles in CORNER_TITLES for title in titles}
    | {"bbox", "box", "w", "h", "bx", "by", "bw", "bh", "x_center", "y_center", "region_shape_attributes"}
)
"""What they call those of a box."""


class Table:
    """A table with one line of titles."""

    def __init__(self, place: str | Path, columns: Collection[str], needed: str) -> None:
        """Open a table and read its titles.

        Args:
            place: the file, or a URI.
            columns: titles that mean something, in small letters; they are found in capitals too.
            needed: the column of the images; one title of `IMAGE_TITLES`, or else of `IMAGE_HINTS`, stands for it where
                it is not there.

        Raises:
            DataUnreadable: no such file, it is no text in UTF-8 or UTF-16, lacks the column, or has one twice.
        """
        self.place = place
        self._one_hot: list[tuple[int, str]] = []
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
        self.renamed: list[str] = []
        """Remarks on titles of other programs that were taken for columns."""
        self.lacking: str | None = None
        """What is wrong if the column that only may be the images' is not: whoever knows the images has to check it."""
        if needed not in self.titles:
            lacking = _lacking(needed, self.titles, columns)
            near = [title for title in self.titles if title.lower() in IMAGE_TITLES]
            hints = [title for title in self.titles if title.lower() in IMAGE_HINTS] if not near else []
            if len(near or hints) != 1:
                raise DataUnreadable(f"{place}: {lacking}")
            (title,) = near or hints
            self.lacking = lacking if hints else None
            self.titles[self.titles.index(title)] = needed
            self.renamed.append(f"the column {title!r} was used as {needed!r}")
        twice = [title for title, count in Counter(self.titles).items() if count > 1 and title in columns]
        if twice:
            raise DataUnreadable(f"{place}: the column {twice[0]!r} appears twice; keep one")

    def take_corners(self, box: Sequence[str]) -> bool:
        """Call the sides of a box x, y, width and height, where the table has them and no such columns.

        Args:
            box: what the columns of a box are called.

        Returns:
            Whether it has: the last two hold right and bottom then, see `size_from_sides`.
        """
        plain = [title.lower() for title in self.titles]
        for sides in CORNER_TITLES:
            if set(box[:2]).isdisjoint(self.titles) and all(plain.count(side) == 1 for side in sides):
                # Beside sides, width and height are the image's, as TensorFlow's and Roboflow's tables have them.
                for own, of_image in zip(box[2:], SIZE_TITLES, strict=True):
                    self.titles = [of_image if title == own else title for title in self.titles]
                for side, name in zip(sides, box, strict=True):
                    self.titles[plain.index(side)] = name
                self.renamed.append(f"boxes were read from {', '.join(sides)}")
                return True
        return False

    def join_columns(self, titles: Sequence[str], joined: str) -> None:
        """Add a column: in each row the title, of some, whose cell holds a 1, as in the tables of ISIC.

        Args:
            titles: of the columns, one a class; where several hold a 1, they are there with `SEVERAL` between them.
            joined: what the new column is called.
        """
        self._one_hot = [(self.titles.index(title), title) for title in titles]
        self.titles.append(joined)

    @property
    def line(self) -> int:
        """The number of the line that was read last, from 1."""
        return self._before + self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        """Yield the cells of each row.

        Raises:
            UnicodeError: it is no text; csv.Error: quotes are not closed. See `unreadable`.
        """
        if not self._one_hot:
            return iter(self._reader)
        return (self._with_joined(cells) for cells in self._reader)

    def _with_joined(self, cells: list[str]) -> list[str]:
        before = len(self.titles) - 1
        padded = [*cells, *[""] * (before - len(cells))]
        joined = SEVERAL.join(title for place, title in self._one_hot if _is_one(padded[place]))
        return [*padded[:before], joined, *padded[before:]]

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


def _is_one(cell: str) -> bool:
    try:
        return float(cell) == 1.0
    except ValueError:
        return False


def size_from_sides(first: str, last: str) -> str:
    """Return the way from left to right, or from top to bottom, as a cell; the second cell if they are no numbers."""
    try:
        return f"{float(last) - float(first):.12g}" if "_" not in first + last else last
    except ValueError:
        return last


def _text(data: bytes, place: str | Path) -> TextIO:
    """Return a file's text, decoded as it is asked for: the whole would need several times more memory."""
    if data.startswith(WORKBOOKS):
        raise DataUnreadable(f"{place}: it is an Excel workbook; save it as CSV UTF-8")
    return io.TextIOWrapper(io.BytesIO(data), encoding=encoding_of(data), newline="")


def _titles(lines: Iterable[str], delimiter: str, columns: Collection[str]) -> list[str]:
    try:
        return _plain(next(csv.reader(lines, delimiter=delimiter), ()), columns)
    except csv.Error:
        return []


def _plain(titles: Iterable[str], columns: Collection[str]) -> list[str]:
    stripped = [title.strip() for title in titles]
    return [title.lower() if title.lower() in columns else title for title in stripped]


def _lacking(needed: str, titles: Sequence[str], columns: Collection[str]) -> str:
    near = [title for title in titles if title.lower() in IMAGE_TITLES | IMAGE_HINTS]
    if near:
        return f"there is no column {needed!r}; if {near[0]!r} is that column, rename it to {needed!r}"
    found = ", ".join(titles[:20]) or "nothing"
    return f"expected columns {', '.join(columns)}; found {found}"
