"""Opens what a reader listed: decodes every file once and checks that image, boxes and mask fit together."""

import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.datasets.formats.names import InputFormat
from annotator.datasets.formats.recognise import recognise
from annotator.datasets.formats.supported import read_layout
from annotator.datasets.import_request import plain_text
from annotator.datasets.listing.canvas import check_count
from annotator.datasets.listing.drawing import boxes_on_image
from annotator.datasets.listing.entries import BadEntry, Drawing, Entry, Refusal, unexpected
from annotator.errors import DataSuspicious
from db.errors import ImageUnreadable
from db.imaging.decode import ImageFacts, png_from_mask, read_facts
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_from_mask, mask_from_boxes
from db.imaging.masks import read_mask
from db.progress import Progress, SilentProgress
from db.records import Box, Location, LocationStatus, NewImage

MaskReader = Callable[[ImageFile], NDArray[np.bool_]]
Note = Callable[[str, str], None]
"""Takes the name of an image, and what befell it."""

LONGEST_CLASS = 255
LONGEST_GROUP = 1000
"""A longer one does not fit into an index of PostgreSQL."""
APART, LITTLE = 0.1, 0.5
"""Shares of a mask in its boxes: below the first they are of two places, below the second somebody should know."""
TOGETHER = 32
"""Entries that a thread opens in one go."""

AHEAD = 32
"""Goes that are ahead of the one who asks, so that nobody waits."""


def open_entry(
    entry: Entry,
    *,
    cache: Path | None = None,
    origin: str | None = None,
    mask_background: int | None = None,
    note: Note | None = None,
) -> list[NewImage] | Refusal:
    """Open an entry's files and check that they fit together.

    Args:
        entry: what to open.
        cache: folder that keeps copies of remote files.
        origin: who or what says this, for the history.
        mask_background: the value of masks that means "outside"; None for black or transparent.
        note: is told the names of images that are used, though not as they are described, and what befell them.

    Returns:
        One image; of a DICOM file with several frames one an image.
    """
    if not _is_text(entry.path.location):
        name = entry.name.encode("utf-8", "backslashreplace").decode()
        return Refusal(name, "its name is not valid UTF-8; rename the file", entry.counts)
    file = ImageFile.at(entry.path, cache=cache)
    try:
        facts = read_facts(file, fresh=True)
    except ImageUnreadable as exc:
        return Refusal(entry.name, exc.reason, entry.counts)
    except Exception as exc:
        return Refusal(entry.name, unexpected(exc), entry.counts)
    if len(facts) > 1 and entry.has_location:
        reason = f"it has {len(facts)} frames; say which one a box belongs to: {entry.name}#frame=0"
        return Refusal(entry.name, reason, entry.counts)
    try:
        read = functools.partial(_mask_of, cache=cache, background=mask_background)
        tell = functools.partial(note or _nobody, entry.name)
        return [_new_image(entry, file, one, read, tell, origin) for one in facts]
    except BadEntry as exc:
        return Refusal(entry.name, str(exc), entry.counts)
    except Exception as exc:
        # Decoders raise what they like; whatever one file holds, the others are read.
        return Refusal(entry.name, unexpected(exc), entry.counts)


def _checked(image: NewImage) -> NewImage:
    """Refuse what no database could store, before it would take good images down with it.

    Raises:
        BadEntry: its class, group or path is no text, or longer than there is room for.
    """
    for what, text in (("class", image.class_name), ("group", image.group), ("path", image.path.location)):
        if text is None:
            continue
        if not _is_text(text):
            raise BadEntry(f"its {what} contains characters that are not text")
        if "\0" in text:
            # All other control characters are stored as they are.
            raise BadEntry(f"its {what} contains a NUL (U+0000), which is not text")
    if image.class_name is not None and len(image.class_name) > LONGEST_CLASS:
        raise BadEntry(f"its class is longer than {LONGEST_CLASS} characters")
    if image.group is not None and len(image.group) > LONGEST_GROUP:
        raise BadEntry(f"its group is longer than {LONGEST_GROUP} characters")
    return image


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mask_of(file: ImageFile, *, cache: Path | None, background: int | None) -> NDArray[np.bool_]:
    return read_mask(ImageFile.at(file, cache=cache), background=background)


def _nobody(_: str, __: str) -> None:
    pass


def _new_image(
    entry: Entry,
    file: ImageFile,
    facts: ImageFacts,
    read: MaskReader,
    tell: Callable[[str], None],
    origin: str | None,
) -> NewImage:
    image = NewImage(
        path=file.with_frame(facts.frame) if facts.frame is not None else file,
        content_hash=facts.content_hash,
        width=facts.width,
        height=facts.height,
        class_name=entry.class_name,
        group=entry.group or facts.patient,
        split=entry.split,
        location=_location(entry, facts.width, facts.height, read, tell),
        thumbnail=facts.thumbnail,
        remark=plain_text(facts.remark) if facts.remark is not None else None,
        origin=plain_text(origin) if origin is not None else None,
    )
    return _checked(image)


def _location(entry: Entry, width: int, height: int, read: MaskReader, tell: Callable[[str], None]) -> Location | None:
    if entry.is_empty:
        if entry.mask_paths and _united(entry.mask_paths, width, height, read).any():
            raise BadEntry("it is marked as empty, but its mask is not empty")
        return Location(LocationStatus.EMPTY)
    drawing = entry.draw(width, height) if entry.draw is not None else Drawing(entry.boxes)
    check_count(drawing.boxes)
    boxes = boxes_on_image(drawing.boxes, width, height, note=tell)
    mask_HW = _united(entry.mask_paths, width, height, read) if entry.mask_paths else drawing.mask_HW
    if mask_HW is None:
        return Location(LocationStatus.PRESENT, boxes) if boxes else None
    if boxes and not mask_HW.any():
        raise BadEntry("its mask is empty, but boxes are given too")
    if boxes and entry.must_agree:
        _check_agreement(boxes, mask_HW, tell)
    boxes = boxes or boxes_from_mask(mask_HW)
    if not boxes:
        return Location(LocationStatus.EMPTY)
    return Location(LocationStatus.PRESENT, boxes, png_from_mask(mask_HW))


def _check_agreement(boxes: Sequence[Box], mask_HW: NDArray[np.bool_], tell: Callable[[str], None]) -> None:
    """Refuse boxes that are of another place than the mask, and tell of those that hold little of it.

    Raises:
        BadEntry: less than a tenth of the mask is in the boxes.
    """
    inside_HW = mask_from_boxes(boxes, (mask_HW.shape[0], mask_HW.shape[1]))
    share = np.count_nonzero(mask_HW & inside_HW) / np.count_nonzero(mask_HW)
    if share < APART:
        raise BadEntry(f"its boxes cover {share:.0%} of its mask: they do not match; keep the correct one")
    if share < LITTLE:
        tell("its boxes cover less than half of its mask; both were kept as they are")


def _united(files: Sequence[ImageFile], width: int, height: int, read: MaskReader) -> NDArray[np.bool_]:
    whole_HW = np.zeros((height, width), dtype=bool)
    for file in files:
        try:
            mask_HW = read(file)
        except ImageUnreadable as exc:
            raise BadEntry(f"its mask {file.name} cannot be used: {exc.reason}") from exc
        if mask_HW.shape != (height, width):
            raise BadEntry(
                f"its mask {file.name} is {mask_HW.shape[1]}x{mask_HW.shape[0]}, the image {width}x{height}; masks "
                "must have the image's upright size"
            )
        whole_HW |= mask_HW
    return whole_HW


def open_entries(
    entries: Iterable[Entry],
    *,
    cache: Path | None = None,
    origin: str | None = None,
    mask_background: int | None = None,
    note: Note | None = None,
) -> Iterator[list[NewImage] | Refusal]:
    """Open entries on all cores, in order, some ahead of the one who asks; see `open_entry`."""
    waiting: deque[Future[list[list[NewImage] | Refusal]]] = deque()
    opener = functools.partial(open_entry, cache=cache, origin=origin, mask_background=mask_background, note=note)
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        # Several entries at once: a small image is decoded in less time than threads need to hand it over.
        rest = iter(entries)
        while together := list(itertools.islice(rest, TOGETHER)):
            waiting.append(pool.submit(lambda part: [opener(entry) for entry in part], together))
            if len(waiting) > AHEAD:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_data_set(
    path: str | Path,
    layout: str,
    *,
    images: str | Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> tuple[list[NewImage], list[Refusal]]:
    """Open a data set without registering it.

    Args:
        path: the data set.
        layout: the name of a reader.
        images: folder or URI that the names of images are relative to, where that is not the data file's own folder.
        say: is told what somebody should know of how it was read.
        progress: where to show how far it is.

    Returns:
        The good images, and what was refused with the reason.

    Raises:
        InvalidArgument: the layout is unknown; DataUnreadable: the listing cannot be read at all; DataSuspicious: what
            its folders mean is not clear.
    """
    if layout == InputFormat.AUTO:
        layout = recognise(path)[0]
    listing = read_layout(layout, path, images=images)
    if listing.doubts:
        raise DataSuspicious(
            f"{path}: {'; '.join(listing.doubts)}; choose another --layout, or move what is not a class"
        )
    good: list[NewImage] = []
    refused = list(listing.refusals)
    with (progress or SilentProgress()).task("opening", len(listing.entries)) as task:
        for opened in open_entries(listing.entries, note=listing.note):
            if isinstance(opened, Refusal):
                refused.append(opened)
            else:
                good += opened
            task.advance()
    if say is not None:
        for remark in listing.remarks():
            say(remark)
    return good, refused
