"""From shapes that a data set draws to boxes and a mask."""

from collections.abc import Iterable, Sequence

from annotator.datasets.listing.canvas import Canvas, check_count
from annotator.datasets.listing.entries import BadEntry, Drawing, Listing, Part
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Shape
from db.records import Box

BESIDE_A_BOX = "an outline beside a plain box; only the boxes are used"


def drawing_of(shapes: Iterable[Shape], width: int, height: int) -> Drawing:
    """Draw shapes on an image of this size, one after the other.

    Returns:
        A box for each, and the mask of all where every shape is an outline: beside a plain box nobody can say what of
        the rest is inside.

    Raises:
        BadEntry: a shape lies far from the image, or they are too much for one.
    """
    canvas = Canvas(width, height)
    boxes: list[Box] = []
    all_outlines = True
    for shape in shapes:
        boxes.append(shape.box())
        check_count(boxes)
        all_outlines = _paint(shape, canvas) and all_outlines
    mask_HW = canvas.mask_HW if all_outlines else None
    return Drawing(tuple(boxes), mask_HW if mask_HW is not None and mask_HW.any() else None)


def _paint(shape: Shape, canvas: Canvas) -> bool:
    """Paint a shape, and say whether it is an outline."""
    if isinstance(shape, Polygon):
        canvas.paint_outline(shape.corners)
    elif isinstance(shape, Ellipse):
        centre, radii = (shape.x, shape.y), (shape.radius_x, shape.radius_y)
        canvas.paint_ellipse(centre, radii, shape.degrees, shape.box())
    elif isinstance(shape, Painted):
        canvas.paint_mask(shape.inside_HW, shape.left, shape.top)
    else:
        canvas.check_extent(shape.box())
        return False
    return True


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
