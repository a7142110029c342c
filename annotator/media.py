"""Makes images visible to a browser: files that it can show are linked or copied, others are turned into PNG.

Files are named by content, so that a name says nothing about a patient and odd characters never reach a URL.
"""

import os
import shutil
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
        ImageUnreadable: the image has to be converted and cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / media_name(image)
    if target.exists():
        return target
    draft = folder / f".{os.getpid()}-{target.name}"
    if image.path.suffix.lower() in SHOWN_BY_BROWSERS:
        try:
            shutil.copyfile(image.path, draft)
        except OSError:
            # Missing or unreadable: reading it says so in the usual words.
            read_image(image.path)
            raise
    else:
        Image.fromarray(read_image(image.path)).save(draft, "PNG")
    draft.replace(target)
    return target
