"""Opens what a reader listed: decodes every file once and checks that image, boxes and mask fit together."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.formats.layouts import read_layout
from annotator.formats.listing import BadEntry, Drawing, Entry, Refusal
from db.errors import ImageUnreadable
from db.files import ImageFile
from db.images import ImageFacts, png_from_mask, read_facts, read_mask
from db.progress import Progress, SilentProgress
from db.records import Location, LocationStatus, NewImage
from db.regions import boxes_from_mask, clip_box, is_within

AHEAD = 1024
"""Entries opened before somebody has asked for them, so that nobody waits."""


def open_entry(entry: Entry, *, cache: Path | None = None) -> list[NewImage] | Refusal:
    """Open an entry's files and check that they fit together.

    Args:
        entry: what to open.
        cache: folder that keeps copies of remote files.

    Returns:
        One image; of a DICOM file with several frames one an image.
    """
    file = ImageFile.at(entry.path, cache=cache)
    try:
        facts = read_facts(file, fresh=True)
    except ImageUnreadable as exc:
        return Refusal(entry.name, exc.reason)
    if len(facts) > 1 and entry.has_location:
        return Refusal(entry.name, f"it has {len(facts)} frames; say which one a box belongs to: {entry.name}#frame=0")
    try:
        return [_new_image(entry, file, one, cache) for one in facts]
    except BadEntry as exc:
        return Refusal(entry.name, str(exc))


def _new_image(entry: Entry, file: ImageFile, facts: ImageFacts, cache: Path | None) -> NewImage:
    return NewImage(
        path=file.with_frame(facts.frame) if facts.frame is not None else file,
        content_hash=facts.content_hash,
        width=facts.width,
        height=facts.height,
        class_name=entry.class_name,
        group=entry.group or facts.patient,
        split=entry.split,
        location=_location(entry, facts.width, facts.height, cache),
        thumbnail=facts.thumbnail,
        remark=facts.remark,
    )


def _location(entry: Entry, width: int, height: int, cache: Path | None) -> Location | None:
    if entry.is_empty:
        return Location(LocationStatus.EMPTY)
    drawing = entry.draw(width, height) if entry.draw is not None else Drawing(entry.boxes)
    for box in drawing.boxes:
        if not is_within(box, width, height):
            raise BadEntry(
                f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} is empty or beyond "
                f"the edge of the {width}x{height} image"
            )
    clipped = (clip_box(box, width, height) for box in drawing.boxes)
    boxes = tuple(box for box in clipped if box is not None)
    mask_HW = _united(entry.mask_paths, width, height, cache) if entry.mask_paths else drawing.mask_HW
    if mask_HW is None:
        return Location(LocationStatus.PRESENT, boxes) if boxes else None
    if boxes and not mask_HW.any():
        raise BadEntry("its mask is empty, but boxes are given too")
    boxes = boxes or boxes_from_mask(mask_HW)
    if not boxes:
        return Location(LocationStatus.EMPTY)
    return Location(LocationStatus.PRESENT, boxes, png_from_mask(mask_HW))


def _united(files: Sequence[ImageFile], width: int, height: int, cache: Path | None) -> NDArray[np.bool_]:
    whole_HW = np.zeros((height, width), dtype=bool)
    for file in files:
        try:
            mask_HW = read_mask(ImageFile.at(file, cache=cache))
        except ImageUnreadable as exc:
            raise BadEntry(f"its mask {file.name} cannot be used: {exc.reason}") from exc
        if mask_HW.shape != (height, width):
            raise BadEntry(
                f"its mask {file.name} is {mask_HW.shape[1]}x{mask_HW.shape[0]}, the image {width}x{height}; masks "
                "must have the image's upright size"
            )
        whole_HW |= mask_HW
    return whole_HW


def open_entries(entries: Iterable[Entry], *, cache: Path | None = None) -> Iterator[list[NewImage] | Refusal]:
    """Open entries on all cores, in order, some ahead of the one who asks; see `open_entry`."""
    waiting: deque[Future[list[NewImage] | Refusal]] = deque()
    pool = ThreadPoolExecutor()
    try:
        for entry in entries:
            waiting.append(pool.submit(open_entry, entry, cache=cache))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_data_set(
    path: str | Path, layout: str, *, images: str | Path | None = None, progress: Progress | None = None
) -> tuple[list[NewImage], list[Refusal]]:
    """Open a data set without registering it.

    Returns:
        The good images, and what was refused with the reason.

    Raises:
        InvalidArgument: the layout is unknown; DataUnreadable: the listing cannot be read at all.
    """
    listing = read_layout(layout, path, images=images)
    good: list[NewImage] = []
    refused = list(listing.refusals)
    with (progress or SilentProgress()).task("opening", len(listing.entries)) as task:
        for opened in open_entries(listing.entries):
            if isinstance(opened, Refusal):
                refused.append(opened)
            else:
                good += opened
            task.advance()
    return good, refused
