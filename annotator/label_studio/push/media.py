"""Makes images visible to a browser: files that it can show are linked or copied, others are turned into PNG.

Files are named by content, so that a name says nothing about a patient and odd characters never reach a URL. Nothing is
shown that is not what was registered: the bytes that are read are compared with the registered hash, and are what is
sent.
"""

import io
import os
import stat
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from annotator.label_studio.sync_report import Skipped
from db.atomic_write import write_bytes
from db.errors import ImageUnreadable
from db.imaging.decode import hash_content, read_image
from db.imaging.files import ImageFile
from db.imaging.limits import IMAGE_BYTES
from db.progress import Progress, SilentProgress
from db.records import ImageRecord

SHOWN_BY_BROWSERS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"})

REMEDY = "to see all such files: partly doctor --verify"
FILE_MODE, FOLDER_MODE = 0o600, 0o700
"""The local Label Studio runs as the same user; nobody else needs to see images."""


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


def place_media(image: ImageRecord, folder: Path, *, thoroughly: bool = True) -> Path:
    """Put an image into a folder that is served, and return its path there; both are for their owner alone.

    Args:
        image: a registered image.
        folder: the folder.
        thoroughly: read what is there already, not only see that it is.

    Raises:
        ImageUnreadable: the image cannot be read, or is not what was registered.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
    _close_to_others(folder, FOLDER_MODE)
    target = folder / media_name(image)
    if is_placed(image, folder, thoroughly=thoroughly):
        _close_to_others(target, FILE_MODE)
    else:
        write_bytes(target, media_bytes(image), mode=FILE_MODE, durable=False)
    return target


def is_placed(image: ImageRecord, folder: Path, *, thoroughly: bool = True) -> bool:
    """Say whether an image is in a folder that is served, as a file of its own and not as a link to one.

    Args:
        image: a registered image.
        folder: the folder.
        thoroughly: compare its content too, where it is served as it is.
    """
    target = folder / media_name(image)
    try:
        if not stat.S_ISREG(target.lstat().st_mode):
            return False
        converted = image.path.frame is not None or image.path.suffix.lower() not in SHOWN_BY_BROWSERS
        return converted or not thoroughly or _is_registered(image, target.read_bytes())
    except OSError:
        return False


def _close_to_others(place: Path, mode: int) -> None:
    """Take other users' permissions away, where the place is ours."""
    if not hasattr(os, "getuid"):
        # On Windows a folder of the user's profile is closed to others already.
        return
    found = place.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.getuid():
        place.chmod(mode)


def _is_registered(image: ImageRecord, content: bytes) -> bool:
    return hash_content(image.path, content) == image.content_hash


@dataclass(frozen=True, slots=True)
class _Read(ImageFile):
    """A file whose bytes were read and compared; what lies under its name by now does not matter."""

    content: bytes = b""

    def read_bytes(self, *, fresh: bool = False, limit: int = IMAGE_BYTES, follow: bool = True) -> bytes:
        """Return what was read."""
        return self.content


def registered_bytes(image: ImageRecord) -> bytes:
    """Read an image's file, if it is what was registered: nothing else is ever sent under its name.

    Raises:
        ImageUnreadable: it cannot be read, is a link or no plain file, or has other content by now.
    """
    if not image.path.is_remote:
        with suppress(OSError):
            mode = Path(image.path.location).lstat().st_mode
            if not stat.S_ISREG(mode):
                what = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
                raise ImageUnreadable(image.path, f"it is {what}, so it is not sent; {REMEDY}")
    content = image.path.read_bytes()
    if not _is_registered(image, content):
        why = "its content has changed since it was registered, so it is not sent; restore it, or register the new "
        raise ImageUnreadable(image.path, f"{why}image under a new name; {REMEDY}")
    return content


def media_bytes(image: ImageRecord) -> bytes:
    """Return an image as a file that browsers can show: as it is if they can, else as PNG.

    Raises:
        ImageUnreadable: it cannot be read, or is not what was registered.
    """
    content = registered_bytes(image)
    if image.path.frame is None and image.path.suffix.lower() in SHOWN_BY_BROWSERS:
        return content
    buffer = io.BytesIO()
    Image.fromarray(read_image(_Read(image.path.location, image.path.frame, content=content))).save(buffer, "PNG")
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
            if not image.path.is_remote and not (folder is not None and is_placed(image, folder)):
                try:
                    media_bytes(image)
                except (ImageUnreadable, OSError) as exc:
                    found.append(Skipped(str(exc), image.id))
            task.advance()
    return found
