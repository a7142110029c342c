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
from db.imaging.decode import DEEP, decode_upright, pages_of, readable
from db.imaging.files import ImageFile
from db.imaging.limits import MASK_VALUES, PAGES
from db.imaging.pixels import array_of, strips_of

FEW_VALUES = 16
"""Up to so many values are labels, each of its own meaning; more are shades, between outside and inside."""
NOISE = 32
"""Values of a lossy file below this may be compression noise."""
BRIGHT = 250
"""A peak from here on is that of a picture of 8 bits, whose values are shades."""
VOID, VOC_COLOURS = 255, ((128, 0, 0), (224, 224, 192))
"""The index that belongs to no class in masks with VOC's palette, and the colours there of class 1 and of this index.

Source: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html.
"""
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
    if (pages := pages_of(file, data)) > 1:
        number = str(pages) if pages <= PAGES else f"more than {PAGES:,}"
        raise ImageUnreadable(file, f"it has {number} pages; a mask has one")
    image = decode_upright(file, data)
    try:
        with readable(file):
            if background is not None:
                return _without(_indices(image), background)
            return _inside(image, lossy=_is_lossy(data))
    except ImageUnreadable as exc:
        if isinstance(exc.__cause__, _Ambiguous):
            raise ImageUnreadable(file, str(exc.__cause__)) from exc
        raise


class _Ambiguous(Exception):
    """A mask that could mean several things; the message says which values it has."""


def _is_lossy(data: bytes) -> bool:
    return data[:3] == b"\xff\xd8\xff" or (data[8:12] == b"WEBP" and data[12:16] != b"VP8L")


def _indices(image: Image.Image) -> NDArray[Any]:
    """Return the numbers that are stored: of a palette its indices, of colours their brightness."""
    return array_of(image, None if image.mode in DEEP or image.mode in {"1", "P", "L"} else "L")


def _without(values_HW: NDArray[Any], background: int) -> NDArray[np.bool_]:
    inside_HW = np.asarray(values_HW != background)
    if inside_HW.all():
        # All of an image is hardly ever a lesion; another number than was meant makes it one.
        raise _Ambiguous(
            f"none of its values {_listed(values_HW)} is {background}, which was named as the background; name the "
            "right one with --mask-background N"
        )
    return inside_HW


def _inside(image: Image.Image, *, lossy: bool) -> NDArray[np.bool_]:
    if image.mode == "1":
        return np.asarray(array_of(image), dtype=bool)
    if image.mode in DEEP:
        grey_HW = array_of(image)
        if grey_HW.dtype.kind == "f":
            np.nan_to_num(grey_HW, copy=False)
        return _by_grey(grey_HW, lossy=False)
    if image.mode == "P":
        return _by_palette(image)
    if "A" in image.getbands() or "transparency" in image.info:
        return _by_alpha(image)
    if image.mode == "L":
        return _by_grey(array_of(image), lossy=lossy)
    return _by_colour(*_brightest(image)[::2], lossy=lossy)


def _by_palette(image: Image.Image) -> NDArray[np.bool_]:
    index_HW = array_of(image)
    # What each index looks like is worked out once for the palette, not for every pixel.
    palette = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    palette.putpalette(image.palette or b"")
    palette.info.update({key: image.info[key] for key in ("transparency",) if key in image.info})
    colours_N4 = np.asarray(palette.convert("RGBA"))[0]
    alpha_HW = colours_N4[:, 3][index_HW]
    black_HW = (colours_N4[:, :3] == 0).all(axis=1)[index_HW] | ~_opaque(alpha_HW)
    if black_HW.all():
        # A palette without colours says nothing; then the numbers of the classes do.
        return np.asarray(index_HW > 0)
    if not black_HW.any() and len(_values(index_HW)) > 1:
        raise _Ambiguous(
            f"no colour of its palette is black, so nothing says which of the indices {_listed(index_HW)} is "
            "background; name it with --mask-background N"
        )
    if tuple(map(tuple, colours_N4[[1, VOID], :3].tolist())) == VOC_COLOURS:
        # Without the border that VOC leaves open between an object and what is around it.
        objects_HW = np.asarray(~black_HW & (index_HW != VOID))
        if objects_HW.any():
            return objects_HW
    return np.asarray(~black_HW)


def _opaque(alpha_HW: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say what is not transparent: anything but 0, or of shades (the edges of a drawn line) the upper half."""
    peak = int(alpha_HW.max(initial=0))
    return np.asarray(alpha_HW > peak / 2 if len(_values(alpha_HW)) > FEW_VALUES else alpha_HW > 0)


def _brightest(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8], bool]:
    """Return each pixel's brightest colour and its opacity, and whether any pixel is other than grey."""
    brightest_HW = np.empty((image.height, image.width), dtype=np.uint8)
    alpha_HW = np.empty_like(brightest_HW)
    is_coloured = False
    for rows in strips_of(image.height, image.width):
        part_HW4 = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA"))
        red_HW, green_HW, blue_HW, alpha_HW[rows] = (part_HW4[:, :, band] for band in range(4))
        brightest_HW[rows] = np.maximum(np.maximum(red_HW, green_HW), blue_HW)
        is_coloured = is_coloured or bool((red_HW != green_HW).any() or (green_HW != blue_HW).any())
    return brightest_HW, alpha_HW, is_coloured


def _by_alpha(image: Image.Image) -> NDArray[np.bool_]:
    brightest_HW, alpha_HW, is_coloured = _brightest(image)
    opaque_HW = _opaque(alpha_HW)
    if opaque_HW.all():
        return _by_colour(brightest_HW, is_coloured, lossy=False)
    coloured_HW = opaque_HW & (brightest_HW > 0)
    # Opaque black beside opaque colours is background too.
    return np.asarray(coloured_HW if coloured_HW.any() else opaque_HW)


def _by_colour(brightest_HW: NDArray[np.uint8], is_coloured: bool, *, lossy: bool) -> NDArray[np.bool_]:
    """Take black for background, whatever the colours of the classes are."""
    if not lossy and is_coloured:
        # Colours number classes or objects; how bright one is says nothing.
        return np.asarray(brightest_HW > 0)
    return _by_grey(brightest_HW, lossy=lossy)


def _values(values: NDArray[Any]) -> NDArray[Any]:
    """Return the different values in order; of more than `MASK_VALUES` the lowest, the highest, and some between.

    Raises:
        _Ambiguous: they are whole numbers, and nobody can say whether they number objects.
    """
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if values.dtype.kind in "iub" and low >= 0 and high < MASK_VALUES:
        found = np.zeros(MASK_VALUES, dtype=bool)
        for rows in strips_of(len(values), values[0].size if values.size else 1):
            found[values[rows].ravel()] = True
        return np.flatnonzero(found)
    known = values.ravel()[:0]
    for rows in strips_of(len(values), values[0].size):
        known = np.union1d(known, values[rows])
        if len(known) > MASK_VALUES:
            if values.dtype.kind != "f":
                raise _Ambiguous(f"it has more than {MASK_VALUES:,} different values")
            return np.linspace(low, high, MASK_VALUES + 2)
    return known


def _by_grey(grey_HW: NDArray[Any], *, lossy: bool) -> NDArray[np.bool_]:
    values = _values(grey_HW)
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
        return np.asarray(grey_HW > (float(values[0]) + peak) / 2)
    if values[0] < 0:
        raise _Ambiguous(
            f"its values {_listed(grey_HW)} go below 0, so nothing says which is background; name it with "
            "--mask-background N"
        )
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
    found = _values(values)
    return ", ".join(f"{value:g}" for value in found[:NAMED]) + (", ..." if len(found) > NAMED else "")
