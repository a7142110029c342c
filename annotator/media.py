"""Makes images visible to a browser: files that it can show are linked or copied, others are turned into PNG.

Files are named by content, so that a name says nothing about a patient and odd characters never reach a URL.
"""

import io
import os
from pathlib import Path

from PIL import Image

from db.images import read_image
from db.records import ImageRecord

SHOWN_BY_BROWSERS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


def media_name(image: ImageRecord) -> str:
    """Name the file under which an image is served."""
    suffix = image.path.suffix.lower()
    digest = image.content_hash.partition(":")[2]
    return digest[:32] + (suffix if suffix in SHOWN_BY_BROWSERS else ".png")


def place_media(image: ImageRecord, folder: Path) -> Path:
    """Put an image into a folder that is served, and return its path there.

    Raises:
        ImageUnreadable: the image cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / media_name(image)
    if target.exists():
        return target
    draft = folder / f".{os.getpid()}-{target.name}"
    draft.write_bytes(media_bytes(image))
    draft.replace(target)
    return target


def media_bytes(image: ImageRecord) -> bytes:
    """Return an image as a file that browsers can show: as it is if they can, else as PNG.

    Raises:
        ImageUnreadable: it cannot be read.
    """
    if image.path.frame is None and image.path.suffix.lower() in SHOWN_BY_BROWSERS:
        return image.path.read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(read_image(image.path)).save(buffer, "PNG")
    return buffer.getvalue()
