"""The `labelstudio` layout: a JSON or JSON-MIN export of any Label Studio project with images.

Rectangles are boxes; polygons, ellipses and brush strokes are outlines too. A choice about the image is its class, and
without one the label of the regions is. Predictions, drafts and skipped annotations are never labels. Of several
annotations of one person the latest counts; people who disagree are refused, unless one annotation is marked as ground
truth. An annotation that was submitted with nothing in it says that there is nothing to find.

For a project that partly made, `partly pull` is the better way: it knows what people were shown.

Source: https://labelstud.io/guide/export.
"""

import functools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.label_studio_tasks import OUTLINES, Annotation, Region, Task, read_tasks
from annotator.datasets.listing.drawing import (
    REPEATED,
    REPEATED_OUTLINE,
    drawing_of,
    place_of,
    used_outlines,
    without_twins,
)
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, only_file, parent_of
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from annotator.shapes.brush import decode_brush
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from annotator.shapes.limits import number_in_range, read_numbers
from annotator.shapes.percent import MIN_SIDE_PX, extent_from_percent
from annotator.shapes.polygons import polygon_from_percent
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_iou
from db.plain_text import counted

AGREED_IOU = 0.5
"""From this overlap on two people mean the same place."""
ASPECT_TOLERANCE = 0.01
"""Images of one picture in two sizes differ in their aspect by no more than rounding."""
NO_IMAGE = (
    "its `data` names no image (a path or URL that ends in an image extension, such as .png); correct it in Label "
    "Studio, and export again"
)
OTHERS = "it has results that are neither boxes nor areas nor choices; they were not used"
ONE_TRUTH = "mark the valid one as ground truth in Label Studio"


def read(path: str | Path, options: ReadOptions = PLAIN) -> Listing:
    """List the images of an export.

    Args:
        path: the JSON file, or a folder that holds a single one.
        options: where the images are (by default the file's folder or below), and what labels mean.

    Raises:
        DataUnreadable: no such file, or it is not an export of Label Studio.
    """
    place = only_file(path, "*.json", what="JSON export of Label Studio") if Path(path).is_dir() else path
    tasks = read_tasks(place)
    listing = Listing()
    found = NamedImages(options.images or Folder(parent_of(place)), [task.names or ("",) for task in tasks])
    classes = _classes(place, tasks, options, listing)
    silent = 0
    for at, task in enumerate(tasks):
        name = task.names[0] if task.names else f"task {at + 1}"
        outlines = sum(item.outlines for item in task.annotations)
        everything = Counts(found.images_at(at), len(task.annotations) + task.skipped + task.predictions, outlines)
        listing.found(everything)
        try:
            if task.problem or not task.names:
                raise BadEntry(task.problem or NO_IMAGE)
            standing = _standing(task.annotations)
            file, own = found.of(at), standing[-1] if standing else None
            kept = [without_twins(item.drawn, _place) for item in standing]
            entry = _entry(task, file, standing, kept, classes, listing)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, everything)
            continue
        listing.leave(Part.LABELS, name, "a prediction is not a label", task.predictions)
        listing.leave(Part.LABELS, name, "an annotation was skipped or is a draft", task.skipped)
        listing.leave(Part.LABELS, name, "another annotation is used", len(task.annotations) - len(standing))
        silent += bool(standing) and not entry.has_location
        listing.leave(Part.MASKS, name, "another annotation is used", outlines - (own.outlines if own else 0))
        masks = _used(own, kept[-1], name, listing) if own else 0
        listing.entries.append(replace(entry, labels=len(standing), masks=masks))
    _remarks(listing, tasks, silent)
    found.leave_unlisted(listing, PurePosixPath(str(place)).name)
    return listing


def _used(own: Annotation, kept: Sequence[Region], name: str, listing: Listing) -> int:
    """Count the outlines of the annotation that holds, and note what of it is not used."""
    left = sum(region.kind in OUTLINES for region in kept)
    if len(kept) < len(own.drawn):
        listing.note(name, REPEATED)
        listing.leave(Part.MASKS, name, REPEATED_OUTLINE, own.outlines - left)
    if own.others:
        is_open = not kept and not own.is_empty
        listing.note(name, f"{OTHERS}, and its location counts as unknown" if is_open else OTHERS)
    return used_outlines(left, len(kept), name, listing)


def _classes(place: str | Path, tasks: Sequence[Task], options: ReadOptions, listing: Listing) -> "_Classes":
    """Find the choices that are the class of an image: those that were named, or the only ones there are."""
    used = sorted({name for task in tasks for item in task.annotations for name in item.choices})
    control = used[0] if len(used) == 1 else None
    if options.class_from not in (None, FROM_FOLDER):
        control = options.class_from
        if control not in used and not any(control in task.data for task in tasks):
            raise DataUnreadable(f"{place}: no task has choices or data called {control!r}; choices: {', '.join(used)}")
    elif len(used) > 1:
        listing.warnings.append(
            f"the choices {', '.join(used)} are in use, but none of them is taken as the class; name one: "
            "--class-from NAME"
        )
    is_open = options.class_from is None and any(task.texts for task in tasks)
    named = _Classes(control, frozenset(), options, is_open)
    return replace(
        named,
        vocabulary=frozenset(
            said for task in tasks for item in (None, *task.annotations) for said in named.of(task, item)
        ),
    )


def _standing(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Return the annotations that hold, the deciding one last.

    Raises:
        BadEntry: several are marked as ground truth.
    """
    truths = [item for item in annotations if item.is_truth]
    if len(truths) > 1:
        raise BadEntry(f"{len(truths)} of its annotations are marked as ground truth; only one can be")
    if truths:
        return truths
    latest: dict[str, Annotation] = {}
    for item in sorted(annotations, key=lambda item: item.when):
        latest.pop(item.who, None)
        latest[item.who] = item
    return list(latest.values())


@dataclass(frozen=True, slots=True)
class _Classes:
    """Where the classes of images come from."""

    control: str | None
    """The choices, or the field of a task's data, that hold them."""
    vocabulary: frozenset[str]
    """What images are called."""
    options: ReadOptions
    is_open: bool
    """Something may be the class of images, and nobody has said what."""

    def of(self, task: Task, item: Annotation | None) -> set[str]:
        """Return what an annotation, or the task itself, calls the image."""
        control = self.control or ""
        by_data = task.data.get(control) if self.options.class_from == control else None
        chosen = set(item.choices.get(control, ())) if item is not None else set()
        return chosen or ({str(by_data)} if by_data else set())

    def decide(self, task: Task, item: Annotation | None, listing: Listing) -> str | None:
        """Return the class that an annotation, or the task itself, gives the image, and note where it has none."""
        said = self.of(task, item)
        # A field of JSON-MIN that may be the image's class leaves open what the names of boxes are.
        drawn = item.drawn if item is not None and not self.is_open else ()
        named = [name for region in drawn for name in region.names]
        name, vocabulary = task.names[0], self.vocabulary
        return class_beside(said, named, name=name, options=self.options, vocabulary=vocabulary, note=listing.note)


def _entry(
    task: Task,
    file: ImageFile,
    standing: Sequence[Annotation],
    kept: Sequence[Sequence[Region]],
    classes: _Classes,
    listing: Listing,
) -> Entry:
    found = {classes.decide(task, item, listing) for item in standing or (None,)}
    if len(found) > 1:
        raise BadEntry(f"its {len(standing)} annotators disagree about its class ({_listed(found)}); {ONE_TRUTH}")
    if len({item.is_empty for item in standing}) > 1 or len({bool(item.drawn) for item in standing}) > 1:
        raise BadEntry(f"its {len(standing)} annotators disagree on whether there is anything to find; {ONE_TRUTH}")
    own = standing[-1] if standing else None

    def draw(width: int, height: int) -> Drawing:
        own_drawing = _drawing(kept[-1], width, height, functools.partial(listing.note, task.names[0]))
        for regions in kept[:-1]:
            iou = boxes_iou(_drawing(regions, width, height).boxes, own_drawing.boxes)
            if iou < AGREED_IOU:
                raise BadEntry(
                    f"its {len(standing)} annotators disagree about the location (IoU {iou:.2f}); {ONE_TRUTH}"
                )
        return own_drawing

    return Entry(
        name=task.names[0],
        path=file,
        class_name=found.pop(),
        is_empty=own is not None and own.is_empty,
        draw=draw if own is not None and own.drawn else None,
    )


def _listed(classes: set[str | None]) -> str:
    return ", ".join(sorted(name or "none" for name in classes))


def _drawing(regions: Sequence[Region], width: int, height: int, note: Callable[[str], None] | None = None) -> Drawing:
    return drawing_of((_shape(region, width, height) for region in regions), width, height, note=note)


def _place(region: Region) -> Hashable:
    """Return where a region is, in percent: equal for two that are the same."""
    try:
        if region.kind == "brush":
            return "brush", str(region.value["rle"])
        if region.kind != "rectangle":
            return place_of(_outline(region, 100, 100))
        if number_in_range(region.value.get("rotation") or 0, "rotation") % 360:
            return "rotated", *read_numbers(region.value, ("x", "y", "width", "height", "rotation"))
        return extent_from_percent(region.value, 100, 100)
    except ValueError as exc:
        raise _unreadable(region, exc) from None


def _unreadable(region: Region, reason: object) -> BadEntry:
    return BadEntry(
        f"result {region.number} ({region.kind}) cannot be read: {reason}; correct or delete it in Label Studio, and "
        "export again"
    )


def _outline(region: Region, width: int, height: int) -> Shape:
    value = region.value
    if region.kind == "polygon":
        return Polygon(polygon_from_percent(value, width, height))
    if region.kind == "brush":
        return Painted(decode_brush(value["rle"], height, width))
    x, y, radius_x, radius_y = (number / 100 for number in read_numbers(value, ("x", "y", "radiusX", "radiusY")))
    degrees = number_in_range(value.get("rotation") or 0, "rotation")
    return Ellipse(x * width, y * height, radius_x * width, radius_y * height, degrees)


def _shape(region: Region, width: int, height: int) -> Shape:
    """Turn a region from percent into pixels.

    Raises:
        BadEntry: it cannot be read, or was drawn on an image that is not this one as it is upright.
    """
    _check_canvas(region, width, height)
    try:
        if region.kind != "rectangle":
            return _outline(region, width, height)
        box = extent_from_percent(region.value, width, height)
    except ValueError as exc:
        raise _unreadable(region, exc) from None
    if box.width < MIN_SIDE_PX or box.height < MIN_SIDE_PX:
        raise _unreadable(region, "it is smaller than a pixel")
    return Rectangle(box)


def _check_canvas(region: Region, width: int, height: int) -> None:
    if region.rotation:
        raise BadEntry(f"it was annotated while it was rotated by {region.rotation:g} degrees in Label Studio")
    try:
        drawn_width, drawn_height = float(region.size[0] or 0), float(region.size[1] or 0)
    except (TypeError, ValueError, OverflowError):
        return
    if not (0 < drawn_width < math.inf and 0 < drawn_height < math.inf):
        return
    if abs(drawn_width * height / (drawn_height * width) - 1) > ASPECT_TOLERANCE:
        raise BadEntry(
            f"it was annotated at {drawn_width:g}x{drawn_height:g}, the upright image is {width}x{height}; its boxes "
            "may belong to another file or to the image before it was rotated"
        )


def _remarks(listing: Listing, tasks: Sequence[Task], silent: int) -> None:
    texts = sorted({name for task in tasks for name in task.texts})
    if texts:
        listing.warnings.append(
            f"JSON-MIN does not say which of {', '.join(texts)} are choices, so no class is taken from it; name "
            "the one that is the class with --class-from NAME, or export JSON"
        )
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image was', 'images were')} annotated without a region; whether anyone looked for one "
            "is not recorded, so their location counts as unknown"
        )
