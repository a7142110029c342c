"""COCO's segmentations, polygons and run lengths, decoded by pycocotools once they are safe for it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.datasets.listing.entries import BadEntry
from db.imaging.geometry import boxes_from_mask
from db.records import Box


def extent_of(segmentation: Any, width: int, height: int) -> Box:
    """Return the box around a segmentation that came without one.

    Raises:
        BadEntry: there is nothing in it.
    """
    mask_HW = mask_of(segmentation, width, height)
    boxes = boxes_from_mask(mask_HW) if mask_HW is not None else ()
    if not boxes:
        raise BadEntry("an annotation has neither a bbox nor anything inside its segmentation")
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def _check_run_lengths(segmentation: Mapping[str, Any], width: int, height: int) -> None:
    """Refuse run lengths that do not fill the image: the decoder would read past their end.

    Raises:
        BadEntry: they do not, or they are of an image of another size.
    """
    if list(segmentation["size"]) != [height, width]:
        raise BadEntry(f"a mask is {segmentation['size'][1]}x{segmentation['size'][0]}, the image {width}x{height}")
    total = sum(int(count) for count in segmentation["counts"])
    if total != width * height:
        raise BadEntry(f"the run lengths of a mask add up to {total}, not to {width}x{height} = {width * height}")


def _check_corners(polygons: Sequence[Sequence[float]], width: int, height: int) -> None:
    """Refuse corners far from the image: the decoder needs memory by the length of an outline.

    Raises:
        BadEntry: a corner is further away than the image is large, or not finite.
    """
    for polygon in polygons:
        for side, values in ((width, polygon[::2]), (height, polygon[1::2])):
            if not all(-side <= float(value) <= 2 * side for value in values):
                raise BadEntry(f"a corner of a segmentation lies far beyond the {width}x{height} image")


def mask_of(segmentation: Any, width: int, height: int) -> NDArray[np.bool_] | None:
    """Decode polygons or run lengths.

    Returns:
        bool HW; None where there is no segmentation.

    Raises:
        BadEntry: it cannot be read, or is of an image of another size.
    """
    from pycocotools import mask as codec

    if not segmentation:
        return None
    try:
        if isinstance(segmentation, list):
            _check_corners(segmentation, width, height)
            encoded = codec.merge(codec.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation.get("counts"), list):
            _check_run_lengths(segmentation, width, height)
            encoded = codec.frPyObjects(segmentation, height, width)
        else:
            encoded = {"size": segmentation["size"], "counts": str(segmentation["counts"]).encode()}
        if list(encoded["size"]) != [height, width]:
            raise BadEntry(f"a mask is {encoded['size'][1]}x{encoded['size'][0]}, the image {width}x{height}")
        decoded: NDArray[np.bool_] = codec.decode(encoded).astype(bool)
    except BadEntry:
        raise
    except Exception as exc:
        # The C library raises bare exceptions of many kinds for a segmentation that makes no sense.
        raise BadEntry(f"a segmentation cannot be read ({exc})") from exc
    return decoded
