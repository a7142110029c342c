"""The lines of YOLO's label files: a class and a box, a class and an outline, or a class, a box and key points."""

import math

from annotator.datasets.listing.canvas import check_count
from annotator.datasets.listing.entries import BadEntry
from annotator.datasets.listing.folder import Folder
from annotator.datasets.listing.yolo.data_file import NameFile
from db.errors import ImageUnreadable

FAR = 2
"""A share of the width or height beyond which it is none: what lies over an edge a little stays far below."""


def read_lines(folder: Folder, name: str, classes: NameFile, keypoint_values: int) -> list[list[float]]:
    """Read a label file.

    Args:
        folder: the data set's.
        name: the label file, relative to it.
        classes: what classes are called; any number will do where it has none at all.
        keypoint_values: how many numbers follow a box for its key points.

    Returns:
        A list a line: the class, then the box (centre and size) or the corners, as shares of the image.

    Raises:
        BadEntry: it cannot be read, or a line does not say what it should; the message names the line.
    """
    rows = []
    for number, words in _words(folder, name):
        where = f"its label file {name} has"
        row = [_number(word, place, name, number) for place, word in enumerate(words)]
        if keypoint_values:
            if len(row) not in (5, 5 + keypoint_values):
                raise BadEntry(
                    f"{where} a line of {len(row)} numbers (line {number}), expected a box and {keypoint_values} "
                    "numbers of key points"
                )
            del row[5:]
        if len(row) != 5 and (len(row) < 7 or len(row) % 2 == 0):
            hint = "; a sixth one, such as a confidence, does not belong in a label" if len(row) == 6 else ""
            raise BadEntry(
                f"{where} a line of {len(row)} numbers (line {number}), expected 5 (class, centre x, centre y, width, "
                f"height) or a polygon{hint}"
            )
        _check_class(row[0], classes, f"{where} {words[0]} as a class in line {number}", where, number)
        if max(map(abs, row[1:])) > FAR:
            far = next(word for word, value in zip(words[1:], row[1:], strict=False) if abs(value) > FAR)
            raise BadEntry(
                f"{where} {far} in line {number}, far beyond the edge of the image: YOLO's numbers are fractions of "
                "the width and height, from 0 to 1, and these look like pixels; divide them by the width and height "
                "of the image"
            )
        rows.append(row)
    check_count(rows)
    return rows


def _words(folder: Folder, name: str) -> list[tuple[int, list[str]]]:
    """Return the numbers of the lines that are not blank, and the words in them."""
    try:
        text = folder.read(name).decode("utf-8-sig")
    except ImageUnreadable as exc:
        raise BadEntry(f"its label file {name} cannot be read ({exc.reason})") from exc
    except UnicodeDecodeError as exc:
        raise BadEntry(f"its label file {name} cannot be read: it is not UTF-8 text; save it as UTF-8") from exc
    split = ((number, line.split()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, words) for number, words in split if words]


def _number(word: str, place: int, name: str, line: int) -> float:
    try:
        value = float(word)
    except ValueError:
        what = "the number of a class" if place == 0 else "a number"
        hint = "; numbers are separated by spaces and have a decimal point" if "," in word else ""
        raise BadEntry(
            f"its label file {name} cannot be read: line {line} has {word[:40]!r}, expected {what}{hint}"
        ) from None
    if not math.isfinite(value):
        raise BadEntry(f"its label file {name} has a value that is not finite in line {line}")
    return value


def _check_class(value: float, classes: NameFile, odd: str, where: str, line: int) -> None:
    if value != int(value) or value < 0:
        raise BadEntry(f"{odd}, expected its number")
    number = int(value)
    if number in classes.unnamed:
        raise BadEntry(f"{where} class {number} in line {line}, {classes.unnamed[number]}; give it one name, as text")
    if (classes.names or classes.unnamed) and number not in classes.names:
        raise BadEntry(f"{where} class {number}, which the data set does not name (line {line}; see {classes.file})")


def looks_like_labels(folder: Folder, name: str) -> bool:
    """Say whether a text file begins like a label file: a class and at least four numbers."""
    try:
        start = folder.read(name, first=4096)
        first = start.removeprefix(b"\xef\xbb\xbf").split(b"\n")[0].split()
        return len(first) >= 5 and all(math.isfinite(float(value)) for value in first)
    except (ImageUnreadable, ValueError):
        return False
