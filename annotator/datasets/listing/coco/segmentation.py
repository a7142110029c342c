"""COCO's segmentations, polygons and run lengths, decoded by pycocotools once they are safe for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from annotator.datasets.listing.canvas import MIN_CORNERS, Canvas
from annotator.datasets.listing.entries import BadEntry, Drawing
from db.imaging.geometry import boxes_from_mask, boxes_iou, intersection
from db.records import Box

NO_RUNS = "a segmentation cannot be read ({})"
RUN_BITS, MORE_RUN, SIGN_RUN = 5, 0x20, 0x10
"""A letter of packed run lengths, less 48: five bits, whether more follow, and the sign of the last ones."""
AGREES, CORNERS_FIT = 0.75, 0.9
"""IoU from which a box is that of its outline, and from which two corners are, where the box as it stands is not."""
LETTERS = 13
"""Of one number, at most: more than any number of 64 bits has."""

Encoded = Mapping[str, Any]
"""What pycocotools works with: run lengths of a mask of the image's size."""


def draw_annotations(
    shapes: Sequence[tuple[Box | None, Any]],
    width: int,
    height: int,
    *,
    some_do: bool = False,
    note: Callable[[str], None] | None = None,
) -> Drawing:
    """Draw the annotations of an image.

    Args:
        shapes: box and segmentation of each; either may be missing.
        width: of the image, pixels.
        height: of the image, pixels.
        some_do: there is a mask also where some of them have no segmentation.
        note: is told if a box holds little of its outline.

    Raises:
        BadEntry: one cannot be read, is of an image of another size, or they are too much for one.
    """
    canvas = Canvas(width, height)
    encoded = [_encoded(segmentation, canvas) for _, segmentation in shapes]
    for (box, _), own in zip(shapes, encoded, strict=True):
        if box is not None and own is not None and not some_do:
            _check_agreement(box, own, note)
    boxes = tuple(box or _extent_of(own, canvas) for (box, _), own in zip(shapes, encoded, strict=True))
    outlined = [own for own in encoded if own is not None]
    if not outlined or not (some_do or len(outlined) == len(shapes)):
        return Drawing(boxes)
    return Drawing(boxes, _decoded(_united(outlined), canvas))


def _check_agreement(box: Box, encoded: Encoded, note: Callable[[str], None] | None) -> None:
    """Refuse an annotation whose box and outline are of different places; one may be wider all around than the other.

    Raises:
        BadEntry: they are, so that it is unclear which of them holds.
    """
    from pycocotools import mask as codec

    outline = Box(*map(float, codec.toBbox(dict(encoded))))
    if outline.area <= 0:
        return
    said = ", ".join(f"{value:g}" for value in (box.x, box.y, box.width, box.height))
    corners = Box(box.x, box.y, box.width - box.x, box.height - box.y)
    as_it_stands, as_corners = (boxes_iou([one], [outline]) for one in (box, corners))
    if as_it_stands < AGREES and min(corners.width, corners.height) > 0 and as_corners > CORNERS_FIT:
        raise BadEntry(
            f"the bbox {said} fits its segmentation if it is read as left, top, right, bottom; COCO's is x, y, width, "
            "height: write it that way"
        )
    shared = intersection(box, outline)
    share = shared.area if shared is not None else 0.0
    if share < min(box.area, outline.area) / 2:
        found = ", ".join(f"{value:g}" for value in (outline.x, outline.y, outline.width, outline.height))
        raise BadEntry(f"its bbox {said} and its segmentation, around {found}, do not match; keep the correct one")
    if share < outline.area / 2 and note is not None:
        note("a bbox is less than half the size of the area that its segmentation spans; both were kept as they are")


def _extent_of(encoded: Encoded | None, canvas: Canvas) -> Box:
    """Return the box around a segmentation that came without one.

    Raises:
        BadEntry: there is nothing in it.
    """
    boxes = boxes_from_mask(_decoded(encoded, canvas)) if encoded is not None else ()
    if not boxes:
        raise BadEntry("an annotation has neither a bbox nor anything inside its segmentation")
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def _encoded(segmentation: Any, canvas: Canvas) -> Encoded | None:
    """Check polygons or run lengths, and hand them over; None where there is no segmentation."""
    from pycocotools import mask as codec

    if not segmentation:
        return None
    size = canvas.height, canvas.width
    try:
        if isinstance(segmentation, list):
            # What programs make of one or two pixels has no area; to pycocotools it would be a box.
            areas = [item for item in segmentation if not isinstance(item, list) or len(item) >= 2 * MIN_CORNERS]
            polygons = [_polygon(item, canvas) for item in areas or segmentation]
            return _united(codec.frPyObjects(polygons, *size))
        said = [int(side) for side in segmentation["size"]]
        if said != list(size):
            raise BadEntry(f"a mask is {'x'.join(map(str, said[::-1]))}, the image {canvas.width}x{canvas.height}")
        counts = segmentation["counts"]
        counts = _unpacked(counts, canvas) if isinstance(counts, str) else [_run(count) for count in counts]
        _check_runs(counts, canvas)
        made: Encoded = codec.frPyObjects({"size": list(size), "counts": counts}, *size)
        return made
    except BadEntry as exc:
        raise BadEntry(f"a segmentation cannot be used: {exc}") from exc
    except Exception as exc:
        # Whatever a segmentation is that makes no sense.
        raise BadEntry(NO_RUNS.format(str(exc)[:200])) from exc


def _polygon(values: Any, canvas: Canvas) -> list[float]:
    if not isinstance(values, list) or len(values) < 2 * MIN_CORNERS or len(values) % 2:
        raise BadEntry(f"a polygon of a segmentation needs at least {MIN_CORNERS} corners, two numbers each")
    found: list[float] = canvas.outline(zip(values[::2], values[1::2], strict=True)).ravel().tolist()
    return found


def _run(value: Any) -> int:
    number = int(value)
    if number != value:
        raise BadEntry(f"a run length of a mask is {value!r}, expected a whole number")
    return number


def _unpacked(text: str, canvas: Canvas) -> list[int]:
    """Read packed run lengths, as pycocotools would: it reads and writes past the end of those that are cut short.

    Source: `rleFrString` in https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c.
    """
    counts: list[int] = []
    number = letters = 0
    for letter in text.encode():
        code = letter - 48
        if not 0 <= code < 64 or letters >= LETTERS:
            raise BadEntry(NO_RUNS.format("its run lengths contain an invalid letter"))
        number |= (code & 0x1F) << RUN_BITS * letters
        letters += 1
        if code & MORE_RUN:
            continue
        if code & SIGN_RUN:
            number -= 1 << RUN_BITS * letters
        # From the third on the number says by how much a run is longer than the one before the last.
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        if len(counts) > canvas.width * canvas.height + 1:
            break
        number = letters = 0
    if letters:
        raise BadEntry(NO_RUNS.format("its run lengths are truncated"))
    return counts


def _check_runs(counts: Sequence[int], canvas: Canvas) -> None:
    """Refuse run lengths that do not fill the image.

    Raises:
        BadEntry: they do not.
    """
    width, height = canvas.width, canvas.height
    if min(counts, default=0) < 0:
        raise BadEntry(f"a run length of a mask is {min(counts)}")
    if (total := sum(counts)) != width * height:
        raise BadEntry(f"the run lengths of a mask add up to {total}, not to {width}x{height} = {width * height}")


def _united(encoded: Sequence[Encoded]) -> Encoded:
    """Unite masks, pairs first, so that the time does not grow with the square of their number."""
    from pycocotools import mask as codec

    while len(encoded) > 1:
        encoded = [codec.merge(list(encoded[place : place + 2])) for place in range(0, len(encoded), 2)]
    return encoded[0]


def _decoded(encoded: Encoded, canvas: Canvas) -> Any:
    from pycocotools import mask as codec

    canvas.take(canvas.width * canvas.height)
    return codec.decode(dict(encoded)).view(bool)
