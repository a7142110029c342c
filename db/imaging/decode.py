"""Reads image and mask files: the one place that decodes, so that everybody sees the same upright pixels.

What becomes of odd files (docs/images.md is the full list): EXIF-rotated ones are turned upright, 16-bit and float
grey is stretched by its own range, CMYK and palettes become RGB, alpha is dropped, of an animation or a TIFF with
pages the first one counts. Files that are empty, cut short, no image, or too large to be opened safely are refused.
"""

import hashlib
import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from db.errors import ImageUnreadable
from db.imaging import dicom
from db.imaging.files import ImageFile
from db.imaging.fingerprints import THUMBNAIL_SIDE
from db.imaging.pixels import stretched

SUFFIXES = (
    frozenset({".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"})
    | {".tif", ".tiff", ".webp"}
    | dicom.SUFFIXES
)
"""File names that importers of folders take for images; what a file is, its content decides."""

HASH_PREFIX = "sha256:"
MAX_PIXELS = 2 * 89_478_485
"""Beyond this a file is refused before it is decoded (a decompression bomb); Pillow's own limit."""

ORIENTATION = 0x0112
TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""

DRAFT = (4 * THUMBNAIL_SIDE, 4 * THUMBNAIL_SIDE)
"""A JPEG's smallest version that is decoded for its thumbnail."""

FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
USUAL_SUFFIX = {"DIB": ".bmp", "JPEG": ".jpg", "JPEG2000": ".jp2", "TIFF": ".tif"}
DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

_warning_lock = threading.Lock()
_quiet = False


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says about itself."""

    content_hash: str
    width: int
    height: int
    thumbnail: bytes
    """32 x 32 grey values, what near-duplicates are found by."""
    frame: int | None = None
    """Number of the frame, None where the file is one image."""
    patient: str | None = None
    remark: str | None = None
    """What somebody should know about how it was read."""


def decode_upright(file: ImageFile | Path, data: bytes) -> Image.Image:
    """Decode a file as it is stored, upright: its own mode, palette and depth.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, or cut short.
    """
    return _decode_sized(file, data)[0]


def _decode_sized(file: ImageFile | Path, data: bytes, *, as_grey: bool = False) -> tuple[Image.Image, tuple[int, int]]:
    """Decode a file, upright, and return it with its true size.

    `as_grey` spares a JPEG its colours and, if it is large, its finest detail; all of its data are read all the same.
    """
    if not _quiet:
        _silence_metadata()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if as_grey and image.format == "JPEG":
            image.draft("L", DRAFT)
        image.load()
        orientation = _orientation(image)
        if orientation == 1:
            return image, (width, height)
        return ImageOps.exif_transpose(image), ((height, width) if orientation in TURNED else (width, height))
    except Image.DecompressionBombError as exc:
        raise ImageUnreadable(
            file, f"it has more than {MAX_PIXELS:,} pixels, the limit for decoding; cut it into tiles"
        ) from exc
    except (OSError, ValueError, SyntaxError, EOFError) as exc:
        raise ImageUnreadable(file, _unreadable(exc)) from exc


def _unreadable(exc: Exception) -> str:
    # Pillow names the buffer that it was given, which says nothing to anybody and differs each time.
    said = str(exc)
    return "it is not an image that can be read" + ("" if "BytesIO" in said or not said else f" ({said})")


def _orientation(image: Image.Image) -> int:
    if image.format == "JPEG" and "exif" not in image.info:
        return 1
    return int(image.getexif().get(ORIENTATION, 1))


def _silence_metadata() -> None:
    # Pillow warns about metadata nobody uses and about half of the limit that we check; to do so for each image
    # would neither be quick nor safe in threads.
    global _quiet
    with _warning_lock:
        if not _quiet:
            warnings.filterwarnings("ignore", module=r"PIL\..*")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            _quiet = True


def read_facts(file: ImageFile | Path, *, fresh: bool = False) -> list[ImageFacts]:
    """Hash a file's bytes and decode it once, to know that it can be.

    Args:
        file: the file, or one frame of it.
        fresh: fetch a remote file again even if it is in the cache.

    Returns:
        One image; of a DICOM file with several frames one an image, if `file` does not name a frame.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, cut short, or too large.
    """
    where = ImageFile.at(file)
    data = where.read_bytes(fresh=fresh)
    digest = hashlib.sha256(data)
    if dicom.is_dicom(data):
        return _dicom_facts(where, data, digest)
    if where.frame is not None:
        raise ImageUnreadable(where, "only DICOM files have frames")
    image, (width, height) = _decode_sized(where, data, as_grey=True)
    return [ImageFacts(_content_hash(digest, None), width, height, _thumbnail(image), remark=_remark(image))]


def _pages(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1) if image.format in {"GIF", "PNG", "TIFF", "WEBP"} else 1


def pages_of(data: bytes) -> int:
    """Count the pages or frames of an image file that can be decoded."""
    return _pages(Image.open(io.BytesIO(data), formats=FORMATS))


def _remark(image: Image.Image) -> str | None:
    frames = _pages(image)
    return f"it holds {frames} frames, only the first is used" if frames > 1 else None


def _thumbnail(image: Image.Image) -> bytes:
    grey = image
    if image.mode != "L":
        grey = Image.fromarray(stretched(np.asarray(image))) if image.mode in DEEP else image.convert("L")
    return grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0).tobytes()


def _dicom_facts(file: ImageFile, data: bytes, digest: "hashlib._Hash") -> list[ImageFacts]:
    try:
        header = dicom.read_header(data)
        if header.width * header.height > MAX_PIXELS:
            raise ImageUnreadable(file, f"it has more than {MAX_PIXELS:,} pixels, the limit for decoding")
        # A frame that is asked for by number is one, even where it is the only one.
        numbered = header.frames > 1 or file.frame is not None
        frames = range(header.frames) if file.frame is None else [file.frame]
        facts: list[ImageFacts] = []
        for frame, pixels in zip(frames, dicom.read_frames(data, frames), strict=True):
            facts.append(
                ImageFacts(
                    _content_hash(digest, frame if numbered else None),
                    pixels.shape[1],
                    pixels.shape[0],
                    _thumbnail(Image.fromarray(pixels)),
                    frame=frame if numbered else None,
                    patient=header.patient_id,
                    # Said once a file, not once a frame.
                    remark=None if facts else header.remark,
                )
            )
    except dicom.DicomUnusable as exc:
        raise ImageUnreadable(file, str(exc)) from exc
    return facts


def hash_content(file: ImageFile, data: bytes) -> str:
    """Return the content hash that `read_facts` gives for this file or frame, without decoding it."""
    return _content_hash(hashlib.sha256(data), file.frame)


def _content_hash(digest: "hashlib._Hash", frame: int | None) -> str:
    if frame is not None:
        digest = digest.copy()
        digest.update(f"#frame={frame}".encode())
    return HASH_PREFIX + digest.hexdigest()


def is_stored_upright(file: ImageFile, data: bytes) -> bool:
    """Say whether every program sees this file as we do: no EXIF rotation, no DICOM."""
    if dicom.is_dicom(data):
        return False
    try:
        return _orientation(Image.open(io.BytesIO(data), formats=FORMATS)) == 1
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise ImageUnreadable(file, _unreadable(exc)) from exc


def suffix_of(file: ImageFile, data: bytes) -> str:
    """Return the usual end of names of files like this one, such as `.png`, by its content.

    Raises:
        ImageUnreadable: it is not an image.
    """
    if dicom.is_dicom(data):
        return ".dcm"
    try:
        name = str(Image.open(io.BytesIO(data), formats=FORMATS).format)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise ImageUnreadable(file, _unreadable(exc)) from exc
    return USUAL_SUFFIX.get(name, f".{name.lower()}")


def read_image(file: ImageFile | Path) -> NDArray[np.uint8]:
    """Decode an image, upright.

    Returns:
        uint8 HWC with C = 3 (grey repeated, alpha dropped), range 0 to 255; 16-bit grey is scaled by its own range.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, cut short, or too large.
    """
    where = ImageFile.at(file)
    data = where.read_bytes()
    if dicom.is_dicom(data):
        try:
            pixels = dicom.read_frame(data, where.frame or 0)
        except dicom.DicomUnusable as exc:
            raise ImageUnreadable(where, str(exc)) from exc
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    image = decode_upright(where, data)
    if image.mode in DEEP:
        return np.repeat(stretched(np.asarray(image))[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def png_from_mask(mask_HW: NDArray[np.bool_]) -> bytes:
    """Encode a mask as a 1-bit PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(mask_HW, dtype=bool)).save(buffer, "PNG")
    return buffer.getvalue()


def mask_from_png(png: bytes) -> NDArray[np.bool_]:
    """Decode what `png_from_mask` made.

    Returns:
        bool HW, True inside.
    """
    return np.asarray(Image.open(io.BytesIO(png)).convert("1"), dtype=bool)
