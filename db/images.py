"""Reads image and mask files: the one place that decodes, so that everybody sees the same upright pixels."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from db.errors import ImageUnreadable

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""File names that importers of folders take for images."""

HASH_PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a file says about itself."""

    content_hash: str
    width: int
    height: int


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise ImageUnreadable(path, "there is no such file") from exc
    except OSError as exc:
        raise ImageUnreadable(path, f"the file cannot be read ({exc.strerror or exc})") from exc
    if not data:
        raise ImageUnreadable(path, "the file is empty")
    return data


def _decode(path: Path, data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # A decompression bomb is an error here; other warnings are about metadata nobody uses.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            image.load()
            return ImageOps.exif_transpose(image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ) as exc:
        raise ImageUnreadable(path, f"it is not an image that can be decoded ({exc})") from exc


def read_facts(path: Path) -> ImageFacts:
    """Hash a file's bytes and decode it once, to know that it can be.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, or cut short.
    """
    data = _read_bytes(path)
    image = _decode(path, data)
    return ImageFacts(HASH_PREFIX + hashlib.sha256(data).hexdigest(), image.width, image.height)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an image, upright.

    Returns:
        uint8 HWC with C = 3 (grey repeated, alpha dropped), range 0 to 255; 16-bit grey is scaled by its own range.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, or cut short.
    """
    image = _decode(path, _read_bytes(path))
    if image.mode in {"I", "F", "I;16", "I;16B", "I;16L"}:
        grey_HW = np.asarray(image, dtype=np.float64)
        low, high = float(grey_HW.min()), float(grey_HW.max())
        grey_HW = (grey_HW - low) * (255.0 / (high - low)) if high > low else grey_HW * 0
        return np.repeat(np.rint(grey_HW).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Decode a mask file: any value above half of the range is inside.

    Returns:
        bool HW, True inside.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, or cut short.
    """
    image = _decode(path, _read_bytes(path))
    return _mask_from_image(image)


def _mask_from_image(image: Image.Image) -> NDArray[np.bool_]:
    if image.mode in {"1", "P"}:
        # A palette's index is the class, not a colour.
        return np.asarray(image) > 0
    grey_HW = np.asarray(image if image.mode in {"I", "F", "I;16"} else image.convert("L"))
    peak = float(grey_HW.max())
    # 0/1 masks are as common as 0/255 ones.
    return grey_HW > (peak / 2 if peak <= 1 else 127)


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
