"""From shapes that a data set draws to boxes and a mask."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from annotator.datasets.listing.canvas import Canvas, check_count
from annotator.datasets.listing.entries import BadEntry, Drawing, Listing, Part
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from db.imaging.geometry import clip_box, is_within
from db.records import Box

BESIDE_A_BOX = "an outline beside a plain box; only the boxes are used"
CUT = "a shape reaches beyond the edge of the image; what lies outside was cut off"
LEAST_INSIDE = 0.5
"""Of a shape less of which lies on the image, by the box around it, the image is likely to be another one."""
REPEATED = "a shape repeats an earlier one; each counts once"
REPEATED_OUTLINE = "it repeats an earlier outline"
Item = TypeVar("Item")


def drawing_of(
    shapes: Iterable[Shape], width: int, height: int, *, note: Callable[[str], None] | None = None
) -> Drawing:
    """Draw shapes on an image of this size, one after the other; what reaches beyond its edge is cut there.

    Args:
        shapes: what to draw.
        width: of the image, pixels.
        height: of the image, pixels.
        note: is told, once, if a shape was cut by more than what is rounding.

    Returns:
        A box for each, and the mask of all where every shape is an outline: beside a plain box it is unclear what of
        the rest is inside.

    Raises:
        BadEntry: a shape lies on the image with less than half of the box around it, or they are too much for one.
    """
    canvas = Canvas(width, height)
    boxes: list[Box] = []
    all_outlines, is_cut = True, False
    for shape in shapes:
        whole = shape.box()
        all_outlines = _paint(shape, canvas) and all_outlines
        boxes.append(_on_image(shape, whole, width, height))
        is_cut = is_cut or boxes[-1] is not whole
        check_count(boxes)
    if is_cut and note is not None:
        note(CUT)
    mask_HW = canvas.mask_HW if all_outlines else None
    return Drawing(tuple(boxes), mask_HW if mask_HW is not None and mask_HW.any() else None)


def _on_image(shape: Shape, whole: Box, width: int, height: int) -> Box:
    """Return the box around what of a shape lies on the image; the box itself if that is all but for rounding."""
    if whole.width <= 0 or whole.height <= 0 or is_within(whole, width, height):
        # What has no area is refused where the image is opened, with all other boxes.
        return whole
    inside = shape.box_on(width, height)
    if inside is not None and inside.area >= LEAST_INSIDE * whole.area:
        return inside
    share = "wholly" if inside is None else f"by {1 - inside.area / whole.area:.0%}"
    raise BadEntry(
        f"the {_kind(shape)} in the box x={whole.x:g} y={whole.y:g} width={whole.width:g} height={whole.height:g} lies "
        f"{share} outside the {width}x{height} image, so it may belong to another file or to the image in another "
        "size; correct or delete it, and import again"
    )


def boxes_on_image(boxes: Iterable[Box], width: int, height: int, *, note: Callable[[str], None]) -> tuple[Box, ...]:
    """Cut boxes at the image's edge.

    Args:
        boxes: as a data set says them.
        width: of the image, pixels.
        height: of the image, pixels.
        note: is told, once, if one was cut by more than what is rounding.

    Raises:
        BadEntry: one has no area, or lies on the image with less than half of it.
    """
    found, is_cut = [], False
    for box in boxes:
        if box.width <= 0 or box.height <= 0:
            raise BadEntry(
                f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} is empty: its width and "
                "height must be above 0"
            )
        inside = clip_box(_on_image(Rectangle(box), box, width, height), width, height)
        if inside is None:
            raise BadEntry(
                f"the box x={box.x:g} y={box.y:g} width={box.width:g} height={box.height:g} is too thin to contain "
                "any of the image"
            )
        is_cut = is_cut or not is_within(box, width, height)
        found.append(inside)
    if is_cut:
        note(CUT)
    return tuple(found)


def _kind(shape: Shape) -> str:
    return {Rectangle: "rectangle", Polygon: "polygon", Ellipse: "ellipse", Painted: "mask"}[type(shape)]


def without_twins(items: Sequence[Item], place: Callable[[Item], Hashable]) -> list[Item]:
    """Drop shapes that repeat an earlier one of their image.

    Args:
        items: the shapes of an image, in whatever form.
        place: says where one is, see `place_of`; equal for two that are the same.
    """
    if len(items) < 2:
        return list(items)
    first: dict[Hashable, Item] = {}
    for item in items:
        first.setdefault(place(item), item)
    return list(first.values())


def place_of(shape: Shape) -> Hashable:
    """Return what a shape has in common with one that is the same, however both were written.

    A rectangle may be drawn from any corner, and a polygon begin at any, run either way, and be closed or not.
    """
    if isinstance(shape, Polygon):
        corners = [(float(x), float(y)) for x, y in shape.corners]
        if corners[-1] == corners[0]:
            corners.pop()
        first = corners.index(min(corners))
        ahead, back = corners[first + 1 :] + corners[:first], (corners[first + 1 :] + corners[:first])[::-1]
        return Polygon, corners[first], tuple(min(ahead, back))
    if isinstance(shape, Ellipse):
        degrees = 0.0 if shape.radius_x == shape.radius_y else shape.degrees % 180
        return Ellipse, shape.x, shape.y, shape.radius_x, shape.radius_y, degrees
    if isinstance(shape, Painted):
        return Painted, shape.left, shape.top, shape.inside_HW.shape, shape.inside_HW.tobytes()
    return Rectangle, shape.box()


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


def shape_or_refusal(read: Callable[[], Shape], what: str, *, program: str) -> Shape:
    """Read a shape.

    Args:
        read: does so; raises ValueError with what is wrong.
        what: it is, with its number, for the message.
        program: where it was drawn.

    Raises:
        BadEntry: it cannot be read.
    """
    try:
        return read()
    except ValueError as exc:
        raise BadEntry(f"{what} cannot be read: {exc}; correct or delete it in {program}, and export again") from None


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
        said: width and height; what is None, not finite, 0 or less is not said.
        width: of the upright image, pixels.
        height: of the upright image, pixels.
        by: what says it, for the message.

    Raises:
        BadEntry: the sizes differ.
    """
    given = [side if side is not None and math.isfinite(side) and side > 0 else None for side in said]
    if all(side in (None, own) for side, own in zip(given, (width, height), strict=True)):
        return
    words = "x".join(f"{side:g}" if side is not None else "?" for side in given)
    raise BadEntry(
        f"{by} says {words}, the upright image is {width}x{height}; its boxes may belong to another "
        "file or to the image before it was rotated"
    )


def read_number(value: object) -> float | None:
    """Read a number that a program may have written as text, None where it is none."""
    try:
        return float(str(value).strip())
    except ValueError:
        return None
