"""Reads image and mask files: the one place that decodes, so that everybody sees the same upright pixels.

What becomes of odd files (docs/images.md is the full list): EXIF-rotated ones are turned upright, 16-bit and float
grey is stretched by its own range, CMYK and palettes become RGB, alpha is dropped, of an animation or a TIFF with
pages the first one counts. Files that are empty, cut short, no image, or too large to be opened safely are refused.
"""

import hashlib
import io
import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging import dicom
from db.imaging.claims import TooCostly, check_bytes, check_directory, check_size, count_pages
from db.imaging.dicom_file import DicomUnusable
from db.imaging.files import ImageFile
from db.imaging.fingerprints import THUMBNAIL_SIDE
from db.imaging.limits import LARGE_BYTES, PAGES, PIXELS
from db.imaging.pixels import array_of, stretched

SUFFIXES = (
    frozenset({".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm"})
    | {".tif", ".tiff", ".webp"}
    | dicom.SUFFIXES
)
"""File names that importers of folders take for images; what a file is, its content decides."""

HASH_PREFIX = "sha256:"

ORIENTATION = 0x0112
TURNS = {
    **{2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM},
    **{5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE},
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""
TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap width and height."""
RAW_EXIF = "Raw profile type exif"
"""Where some programs put EXIF data in a PNG, as text."""
RAW_EXIF_LETTERS = 2**18

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


NO_IMAGE = "it is not an image that can be read"


class readable:
    """Turns whatever a decoder raises into a refusal of the file: they raise anything.

    Raises:
        ImageUnreadable: with a reason that people understand.
    """

    def __init__(self, file: ImageFile | Path | str) -> None:
        self._file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, Exception) and not isinstance(exc, ImageUnreadable):
            reason = _reason(exc)
            if reason.startswith(NO_IMAGE) and Path(str(self._file)).suffix.lower() in dicom.SUFFIXES:
                reason = "it is named as a DICOM file, but has no DICM at byte 128; rewrite it as one (dcmconv +F)"
            raise ImageUnreadable(self._file, reason) from exc


def _reason(exc: Exception) -> str:
    if isinstance(exc, (TooCostly, DicomUnusable)):
        return str(exc)
    if isinstance(exc, Image.DecompressionBombError):
        return f"it has more than {PIXELS:,} pixels, the limit for decoding; cut it into tiles"
    if isinstance(exc, MemoryError):
        return "there is not enough memory to decode it"
    # Pillow names the buffer that it was given, which says nothing to anybody and differs each time.
    said = " ".join(str(exc).split())[:200]
    if isinstance(exc, (OSError, ValueError, SyntaxError, EOFError)):
        return NO_IMAGE + ("" if "BytesIO" in said or not said else f" ({said})")
    return f"it is damaged and cannot be read ({type(exc).__name__}{': ' if said else ''}{said})"


def decode_upright(file: ImageFile | Path, data: bytes) -> Image.Image:
    """Decode a file as it is stored, upright: its own mode, palette and depth.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, cut short, or too large.
    """
    with readable(file):
        return _decode_sized(*_opened(data))[0]


def _opened(data: bytes) -> tuple[Image.Image, int]:
    """Open a file, not yet decoded; returns with it the bytes that decoding it needs.

    Raises:
        TooCostly: it would cost too much; anything: it is no image, or damaged.
    """
    if not _quiet:
        _silence_metadata()
    check_bytes(data)
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    return image, check_size(image, data)


_large = threading.Lock()


def _decode_sized(image: Image.Image, needs: int, *, as_grey: bool = False) -> tuple[Image.Image, tuple[int, int]]:
    """Decode an opened file, upright, and return it with its true size.

    `as_grey` spares a JPEG its colours and, if it is large, its finest detail; all of its data are read all the same.
    """
    width, height = image.size
    # Many threads decode at once, and each image may need all the memory that one may.
    with _large if needs > LARGE_BYTES else nullcontext():
        if as_grey and image.format == "JPEG":
            image.draft("L", DRAFT)
        image.load()
        orientation = _orientation(image)
        if orientation not in TURNS:
            return image, (width, height)
        turned = image.transpose(TURNS[orientation])
    return turned, ((height, width) if orientation in TURNED else (width, height))


def _orientation(image: Image.Image) -> int:
    exif = image.info.get("exif")
    if image.format == "JPEG" and exif is None:
        return 1
    if isinstance(exif, bytes):
        check_directory(exif)
    if len(image.info.get(RAW_EXIF, "")) > RAW_EXIF_LETTERS:
        raise TooCostly(f"its EXIF data have more than {RAW_EXIF_LETTERS:,} characters")
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
    with readable(where):
        opened, needs = _opened(data)
        pages = count_pages(data, opened)
        image, (width, height) = _decode_sized(opened, needs, as_grey=True)
        return [ImageFacts(_content_hash(digest, None), width, height, _thumbnail(image), remark=_remark(pages))]


def pages_of(file: ImageFile | Path, data: bytes) -> int:
    """Count the pages or frames of an image file, up to one more than anybody needs to know.

    Raises:
        ImageUnreadable: it is not an image, or damaged.
    """
    with readable(file):
        return count_pages(data, _opened(data)[0])


def _remark(frames: int) -> str | None:
    number = str(frames) if frames <= PAGES else f"more than {PAGES:,}"
    return f"it holds {number} frames; only the first is used" if frames > 1 else None


def _thumbnail(image: Image.Image) -> bytes:
    grey = image
    if image.mode != "L":
        grey = Image.fromarray(stretched(array_of(image))) if image.mode in DEEP else image.convert("L")
    return grey.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0).tobytes()


def _dicom_facts(file: ImageFile, data: bytes, digest: "hashlib._Hash") -> list[ImageFacts]:
    facts: list[ImageFacts] = []
    with readable(file):
        header = dicom.read_header(data)
        # A frame that is asked for by number is one, even where it is the only one.
        numbered = header.frames > 1 or file.frame is not None
        frames = range(header.frames) if file.frame is None else [file.frame]
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
    with readable(file):
        return _orientation(_opened(data)[0]) == 1


def suffix_of(file: ImageFile, data: bytes) -> str:
    """Return the usual end of names of files like this one, such as `.png`, by its content.

    Raises:
        ImageUnreadable: it is not an image.
    """
    if dicom.is_dicom(data):
        return ".dcm"
    with readable(file):
        name = str(_opened(data)[0].format)
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
        with readable(where):
            pixels = dicom.read_frame(data, where.frame or 0)
            return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    image = decode_upright(where, data)
    with readable(where):
        if image.mode in DEEP:
            return np.repeat(stretched(array_of(image))[:, :, None], 3, axis=2)
        return array_of(image, "RGB")


def grey_from_png(png: bytes) -> NDArray[np.uint8]:
    """Decode a PNG that lies within another file, to grey.

    Raises:
        ImageUnreadable: it is none, or too large.
    """
    with readable("PNG"):
        check_bytes(png)
        image = Image.open(io.BytesIO(png), formats=("PNG",))
        check_size(image, png)
        return array_of(image, "L")


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
