"""Makes images visible to a browser: files that it can show are linked or copied, others are turned into PNG.

Files are named by content, so that a name says nothing about a patient and odd characters never reach a URL.
"""

import io
from collections.abc import Container, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from annotator.label_studio.sync_report import Skipped
from db.atomic_write import write_bytes
from db.errors import ImageUnreadable
from db.imaging.decode import read_image
from db.progress import Progress, SilentProgress
from db.records import ImageRecord

SHOWN_BY_BROWSERS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})


def media_name(image: ImageRecord) -> str:
    """Name the file under which an image is served."""
    suffix = image.path.suffix.lower()
    digest = image.content_hash.partition(":")[2]
    return digest[:32] + (suffix if suffix in SHOWN_BY_BROWSERS else ".png")


BUCKETS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""Kinds of storages in Label Studio, by the scheme of a URI."""


def bucket_of(image: ImageRecord) -> tuple[str, str] | None:
    """Return the kind of storage and the bucket that an image lies in; None where it is in none."""
    scheme, _, rest = image.path.location.partition("://")
    return (BUCKETS[scheme], rest.partition("/")[0]) if image.path.is_remote and scheme in BUCKETS else None


def own_address(image: ImageRecord, buckets: Container[tuple[str, str]]) -> str | None:
    """Return the address at which browsers can load an image from where it is, None where it has to be copied.

    A web address is used as it is, unless it carries a query, which may be a signature that expires. An object in a
    bucket is used if the project has a storage for the bucket: the server then signs it whenever somebody looks.

    Args:
        image: a registered image.
        buckets: kind and name of those that the project has a storage for.
    """
    if image.path.frame is not None or image.path.suffix.lower() not in SHOWN_BY_BROWSERS:
        return None
    parts = urlsplit(image.path.location)
    if parts.scheme in ("http", "https") and not parts.query and not parts.fragment:
        return image.path.location
    bucket = bucket_of(image)
    if bucket is None or bucket not in buckets:
        return None
    scheme = "gs" if bucket[0] == "gcs" else "s3"
    return f"{scheme}://{image.path.location.partition('://')[2]}"


def place_media(image: ImageRecord, folder: Path) -> Path:
    """Put an image into a folder that is served, and return its path there.

    Raises:
        ImageUnreadable: the image cannot be read.
    """
    target = folder / media_name(image)
    if not target.exists():
        write_bytes(target, media_bytes(image), durable=False)
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


def find_unreadable(
    images: Sequence[ImageRecord], folder: Path | None, progress: Progress | None = None
) -> list[Skipped]:
    """Find the images that could not be made visible; nothing is written.

    Args:
        images: those that a push would place or upload.
        folder: folder that is served, where they may lie already; None where they are uploaded.
        progress: where to show how far it is.
    """
    found: list[Skipped] = []
    with (progress or SilentProgress()).task("reading images", len(images)) as task:
        for image in images:
            # What is remote may be shown from where it is.
            if not image.path.is_remote and not (folder is not None and (folder / media_name(image)).exists()):
                try:
                    media_bytes(image)
                except (ImageUnreadable, OSError) as exc:
                    found.append(Skipped(str(exc), image.id))
            task.advance()
    return found
