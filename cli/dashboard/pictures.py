"""Images as a browser is sent them: decoded, upright, made small, and encoded anew; never a file's own bytes.

Whoever asks names a number of the registry, never a path. The newest ones are kept in memory, up to a limit, and on no
disk.
"""

import io
import os
import threading
from collections import OrderedDict

from db.errors import ImageUnreadable
from db.imaging.files import ImageFile
from db.records import ImageRecord

THUMBNAIL_PX = 256
"""Longer side of an image in a list."""
SMALLEST_PX, LARGEST_PX = 640, 1400
"""Longer side of an image that is looked at: as it is, within these limits."""
KEPT_BYTES = 64 * 2**20
QUALITY = 90
AT_ONCE = max(1, min(4, (os.cpu_count() or 1)))
"""Images that are decoded at a time: each may need all the memory that one may."""


def side_of(record: ImageRecord) -> int:
    """Return the longer side with which an image is looked at, pixels."""
    return min(LARGEST_PX, max(SMALLEST_PX, record.width, record.height))


class Pictures:
    """Encoded images; may be asked by several threads."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._decoding = threading.BoundedSemaphore(AT_ONCE)

    def jpeg(self, record: ImageRecord, side: int) -> bytes:
        """Return an image as a JPEG.

        Args:
            record: the image.
            side: its longer side, pixels.

        Raises:
            ImageUnreadable: the file is missing, damaged, or too large to be decoded.
        """
        key = (record.id, record.content_hash, side, record.path.state())
        with self._lock:
            if (data := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return data
        with self._decoding:
            data = _encoded(record.path, side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = data
                self._size += len(data)
            while self._size > self._kept_bytes and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])
        return data


def _encoded(file: ImageFile, side: int) -> bytes:
    from learner.reporting.drawing import Panel, draw_boxes

    buffer = io.BytesIO()
    try:
        draw_boxes(Panel(file, ""), side).save(buffer, "JPEG", quality=QUALITY)
    except OSError as exc:
        raise ImageUnreadable(file, exc.strerror or "it cannot be read") from exc
    return buffer.getvalue()
