"""From shapes that a data set draws to boxes and a mask."""

from collections.abc import Sequence

import numpy as np

from annotator.datasets.listing.entries import BadEntry, Drawing, Listing, Part
from annotator.shapes.drawn import Shape

BESIDE_A_BOX = "an outline beside a plain box; only the boxes are used"


def drawing_of(shapes: Sequence[Shape], width: int, height: int) -> Drawing:
    """Draw shapes on an image of this size.

    Returns:
        A box for each, and the mask of all where every shape is an outline: beside a plain box nobody can say what of
        the rest is inside.
    """
    boxes = tuple(shape.box() for shape in shapes)
    masks = [mask for shape in shapes if (mask := shape.mask(height, width)) is not None]
    if not masks or len(masks) < len(shapes):
        return Drawing(boxes)
    whole_HW = np.logical_or.reduce(masks)
    return Drawing(boxes, whole_HW if whole_HW.any() else None)


def used_outlines(outlined: int, drawn: int, name: str, listing: Listing) -> int:
    """Count the outlines of an image that `drawing_of` uses, and note those that it does not.

    Args:
        outlined: how many of its shapes are outlines.
        drawn: how many shapes it has.
        name: of the image.
        listing: where to note them.
    """
    if outlined == drawn:
        return outlined
    listing.leave(Part.MASKS, name, BESIDE_A_BOX, outlined)
    return 0


def check_size(said: Sequence[float | None], width: int, height: int, *, by: str) -> None:
    """Refuse labels of an image of another size.

    Args:
        said: width and height; None or 0 where it is not said.
        width: of the upright image, pixels.
        height: of the upright image, pixels.
        by: what says it, for the message.

    Raises:
        BadEntry: the sizes differ.
    """
    if None in said or not any(said) or list(said) == [width, height]:
        return
    raise BadEntry(
        f"{by} says {said[0]:g}x{said[1]:g}, the upright image is {width}x{height}; its boxes may belong to another "
        "file or to the image before it was rotated"
    )


def read_number(value: object) -> float | None:
    """Read a number that a program may have written as text, None where it is none."""
    try:
        return float(str(value).strip())
    except ValueError:
        return None
