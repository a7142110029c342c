"""What a mask file says: which of its values are background, and which are inside.

Programs write masks in many ways: 0 and 255, 0 and 1, the numbers of classes, a colour a class, a palette, an alpha
channel. Background is black, transparent, or a value that somebody names; anything else is inside. What leaves that
open is refused with the values found, since a wrong guess would be a false label.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from db.errors import ImageUnreadable
from db.imaging.decode import DEEP, decode_upright, pages_of
from db.imaging.files import ImageFile

FEW_VALUES = 16
"""Up to so many values are labels, each of its own meaning; more are shades, between outside and inside."""
NOISE = 32
"""Values of a lossy file below this may be compression noise."""
BRIGHT = 250
"""A peak from here on is that of a picture of 8 bits, whose values are shades."""
NAMED = 8
"""Values that a refusal lists."""


def read_mask(file: ImageFile | Path, *, background: int | None = None) -> NDArray[np.bool_]:
    """Decode a mask file.

    Args:
        file: the file.
        background: the value (a grey level or a palette's index) that means "outside"; None for black or transparent.

    Returns:
        bool HW, True inside.

    Raises:
        ImageUnreadable: it is missing, empty, not an image, cut short, or does not say what is inside.
    """
    data = ImageFile.at(file).read_bytes()
    image = decode_upright(file, data)
    if (pages := pages_of(data)) > 1:
        raise ImageUnreadable(file, f"it has {pages} pages; a mask is one")
    try:
        if background is not None:
            return np.asarray(_indices(image) != background)
        return _inside(image, lossy=_is_lossy(data))
    except _Ambiguous as exc:
        raise ImageUnreadable(file, str(exc)) from exc


class _Ambiguous(Exception):
    """A mask that could mean several things; the message says which values it has."""


def _is_lossy(data: bytes) -> bool:
    return data[:3] == b"\xff\xd8\xff" or (data[8:12] == b"WEBP" and data[12:16] != b"VP8L")


def _indices(image: Image.Image) -> NDArray[Any]:
    """Return the numbers that are stored: of a palette its indices, of colours their brightness."""
    plain = image if image.mode in DEEP or image.mode in {"1", "P", "L"} else image.convert("L")
    return np.asarray(plain).astype(np.float64)


def _inside(image: Image.Image, *, lossy: bool) -> NDArray[np.bool_]:
    if image.mode == "1":
        return np.asarray(image, dtype=bool)
    if image.mode in DEEP:
        return _by_grey(np.nan_to_num(np.asarray(image).astype(np.float64)), lossy=False)
    if image.mode == "P":
        return _by_palette(image)
    if "A" in image.getbands() or "transparency" in image.info:
        return _by_alpha(image)
    if image.mode == "L":
        return _by_grey(np.asarray(image).astype(np.float64), lossy=lossy)
    return _by_colour(np.asarray(image.convert("RGB")), lossy=lossy)


def _by_palette(image: Image.Image) -> NDArray[np.bool_]:
    index_HW = np.asarray(image)
    colours_HW4 = np.asarray(image.convert("RGBA"))
    black_HW = (colours_HW4[:, :, :3] == 0).all(axis=2) | ~_opaque(colours_HW4[:, :, 3])
    if black_HW.all():
        # A palette without colours says nothing; then the numbers of the classes do.
        return np.asarray(index_HW > 0)
    if not black_HW.any() and len(np.unique(index_HW)) > 1:
        raise _Ambiguous(
            f"no colour of its palette is black, so nothing says which of the indices {_listed(index_HW)} is "
            "background; name it with --mask-background N"
        )
    return np.asarray(~black_HW)


def _opaque(alpha_HW: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say what is not transparent: anything but 0, or of shades (the edges of a drawn line) the upper half."""
    peak = int(alpha_HW.max(initial=0))
    return np.asarray(alpha_HW > peak / 2 if len(np.unique(alpha_HW)) > FEW_VALUES else alpha_HW > 0)


def _by_alpha(image: Image.Image) -> NDArray[np.bool_]:
    colours_HW4 = np.asarray(image.convert("RGBA"))
    opaque_HW = _opaque(colours_HW4[:, :, 3])
    black_HW = (colours_HW4[:, :, :3] == 0).all(axis=2)
    shown = black_HW[opaque_HW]
    if opaque_HW.all():
        return _by_colour(colours_HW4[:, :, :3], lossy=False)
    if shown.size and not shown.all():
        # Opaque black beside opaque colours is background too.
        return np.asarray(opaque_HW & ~black_HW)
    return np.asarray(opaque_HW)


def _by_colour(colours_HW3: NDArray[np.uint8], *, lossy: bool) -> NDArray[np.bool_]:
    """Take black for background, whatever the colours of the classes are."""
    if not lossy and (colours_HW3.min(axis=2) != colours_HW3.max(axis=2)).any():
        # Colours number classes or objects; how bright one is says nothing.
        return np.asarray(colours_HW3.any(axis=2))
    return _by_grey(colours_HW3.max(axis=2).astype(np.float64), lossy=lossy)


def _by_grey(grey_HW: NDArray[Any], *, lossy: bool) -> NDArray[np.bool_]:
    values = np.unique(grey_HW)
    peak = float(values[-1])
    if peak <= 0 and len(values) == 1:
        return np.zeros(grey_HW.shape, dtype=bool)
    if lossy:
        if peak < NOISE:
            raise _Ambiguous(
                f"its values from {values[0]:g} to {peak:g} may be labels or the noise of a lossy file; save masks as "
                "PNG"
            )
        return np.asarray(grey_HW > peak / 2)
    if len(values) > FEW_VALUES and not _are_numbers(grey_HW, values):
        return np.asarray(grey_HW > (values[0] + peak) / 2)
    if values[0] > 0 and len(values) > 1:
        raise _Ambiguous(
            f"none of its values {_listed(grey_HW)} is 0, so nothing says which is background; name it with "
            "--mask-background N"
        )
    return np.asarray(grey_HW != 0)


def _are_numbers(grey_HW: NDArray[Any], values: NDArray[Any]) -> bool:
    """Say whether many values number objects rather than shade edges.

    Numbers have no gaps and none of them is most of what is inside; shades are few beside the full brightness.
    """
    peak = values[-1]
    without_gaps = values[0] == 0 and len(values) == peak + 1
    full = np.count_nonzero(grey_HW == peak) / np.count_nonzero(grey_HW)
    return bool(without_gaps and full < 0.5 and not (BRIGHT <= peak <= 255))


def _listed(values: NDArray[Any]) -> str:
    found = np.unique(values)
    return ", ".join(f"{value:g}" for value in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
