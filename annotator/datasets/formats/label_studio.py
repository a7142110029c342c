"""The `labelstudio` layout: a JSON or JSON-MIN export of any Label Studio project with images.

Rectangles are boxes; polygons, ellipses and brush strokes are outlines too. A choice about the image is its class, and
without one the label of the regions is. Predictions, drafts and skipped annotations are never labels. Of several
annotations of one person the latest counts; people who disagree are refused, unless one annotation is marked as ground
truth. An annotation that was submitted with nothing in it says that there is nothing to find.

For a project that partly made, `partly pull` is the better way: it knows what people were shown.

Source: https://labelstud.io/guide/export.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from annotator.datasets.formats.label_studio_tasks import Annotation, Region, Task, read_tasks
from annotator.datasets.listing.drawing import drawing_of, used_outlines
from annotator.datasets.listing.entries import BadEntry, Counts, Drawing, Entry, Listing, Part
from annotator.datasets.listing.folder import Folder, only_file, parent_of
from annotator.datasets.listing.image_class import class_beside
from annotator.datasets.listing.named_images import NamedImages
from annotator.datasets.listing.options import FROM_FOLDER, PLAIN, ReadOptions
from annotator.errors import DataUnreadable
from annotator.shapes.brush import decode_brush
from annotator.shapes.drawn import Ellipse, Painted, Polygon, Rectangle, Shape
from annotator.shapes.percent import box_from_percent
from annotator.shapes.polygons import polygon_from_percent
from db.imaging.files import ImageFile
from db.imaging.geometry import boxes_iou
from db.plain_text import counted

AGREED_IOU = 0.5
"""From this overlap on two people mean the same place."""
ASPECT_TOLERANCE = 0.01
"""Images of one picture in two sizes differ in their aspect by no more than rounding."""
ONE_TRUTH = "mark the one that holds as ground truth in Label Studio"


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
        everything = Counts(1, len(task.annotations) + task.skipped + task.predictions, outlines)
        listing.found(everything)
        try:
            if not task.names:
                raise BadEntry(task.problem or "its data names no image")
            standing = _standing(task.annotations)
            entry = _entry(task, found.of(at), standing, classes)
        except Exception as exc:
            # Whatever one item holds, the others are read.
            listing.refuse(name, exc, everything)
            continue
        listing.leave(Part.LABELS, name, "a prediction is no label", task.predictions)
        listing.leave(Part.LABELS, name, "an annotation was skipped or is a draft", task.skipped)
        listing.leave(Part.LABELS, name, "another annotation holds", len(task.annotations) - len(standing))
        silent += bool(standing) and not entry.has_location
        own = standing[-1] if standing else None
        listing.leave(Part.MASKS, name, "another annotation holds", outlines - (own.outlines if own else 0))
        masks = used_outlines(own.outlines, len(own.drawn), name, listing) if own else 0
        listing.entries.append(replace(entry, labels=len(standing), masks=masks))
    _remarks(listing, tasks, silent)
    found.leave_unlisted(listing, PurePosixPath(str(place)).name)
    return listing


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
            f"the choices {', '.join(used)} are in use, and none of them is taken for the class; name one: "
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
        raise BadEntry(f"{len(truths)} of its annotations are marked as ground truth; one can be")
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

    def decide(self, task: Task, item: Annotation | None) -> str | None:
        """Return the class that an annotation, or the task itself, gives the image."""
        said = self.of(task, item)
        # A field of JSON-MIN that may be the image's class leaves open what the names of boxes are.
        drawn = item.drawn if item is not None and not self.is_open else ()
        named = [name for region in drawn for name in region.names]
        return class_beside(said, named, name=task.names[0], options=self.options, vocabulary=self.vocabulary)


def _entry(task: Task, file: ImageFile, standing: Sequence[Annotation], classes: _Classes) -> Entry:
    found = {classes.decide(task, item) for item in standing or (None,)}
    if len(found) > 1:
        raise BadEntry(f"its {len(standing)} annotators disagree about its class ({_listed(found)}); {ONE_TRUTH}")
    if len({item.is_empty for item in standing}) > 1 or len({bool(item.drawn) for item in standing}) > 1:
        raise BadEntry(f"its {len(standing)} annotators disagree on whether there is anything to find; {ONE_TRUTH}")
    own = standing[-1] if standing else None

    def draw(width: int, height: int) -> Drawing:
        drawings = [_drawing(item, width, height) for item in standing]
        for drawing in drawings[:-1]:
            iou = boxes_iou(drawing.boxes, drawings[-1].boxes)
            if iou < AGREED_IOU:
                raise BadEntry(f"its {len(standing)} annotators disagree about the place (IoU {iou:.2f}); {ONE_TRUTH}")
        return drawings[-1]

    return Entry(
        name=task.names[0],
        path=file,
        class_name=found.pop(),
        is_empty=own is not None and own.is_empty,
        draw=draw if own is not None and own.drawn else None,
    )


def _listed(classes: set[str | None]) -> str:
    return ", ".join(sorted(name or "none" for name in classes))


def _drawing(item: Annotation, width: int, height: int) -> Drawing:
    return drawing_of((_shape(region, width, height) for region in item.drawn), width, height)


def _shape(region: Region, width: int, height: int) -> Shape:
    """Turn a region from percent into pixels.

    Raises:
        BadEntry: it cannot be read, or was drawn on an image that is not this one as it is upright.
    """
    _check_canvas(region, width, height)
    value = region.value
    try:
        if region.kind == "polygon":
            return Polygon(polygon_from_percent(value, width, height))
        if region.kind == "ellipse":
            x, y, radius_x, radius_y = (float(value[key]) / 100 for key in ("x", "y", "radiusX", "radiusY"))
            degrees = float(value.get("rotation") or 0)
            return Ellipse(x * width, y * height, radius_x * width, radius_y * height, degrees)
        if region.kind == "brush":
            return Painted(decode_brush(value["rle"], height, width))
        box = box_from_percent(value, width, height)
    except (KeyError, TypeError, ValueError) as exc:
        raise BadEntry(f"a {region.kind} cannot be read ({exc})") from None
    if box is None:
        raise BadEntry("a rectangle is smaller than a pixel or lies beyond the image's edge")
    return Rectangle(box)


def _check_canvas(region: Region, width: int, height: int) -> None:
    if region.rotation:
        raise BadEntry(f"it was drawn on while it was rotated by {region.rotation:g} degrees in Label Studio")
    try:
        drawn_width, drawn_height = float(region.size[0] or 0), float(region.size[1] or 0)
    except (TypeError, ValueError):
        return
    if drawn_width <= 0 or drawn_height <= 0:
        return
    if abs(drawn_width * height / (drawn_height * width) - 1) > ASPECT_TOLERANCE:
        raise BadEntry(
            f"it was drawn on at {drawn_width:g}x{drawn_height:g}, the upright image is {width}x{height}; its boxes "
            "may belong to another file or to the image before it was rotated"
        )


def _remarks(listing: Listing, tasks: Sequence[Task], silent: int) -> None:
    texts = sorted({name for task in tasks for name in task.texts})
    if texts:
        listing.warnings.append(
            f"JSON-MIN does not say which of {', '.join(texts)} are choices, so no class is taken from it; name "
            "the one that is the class with --class-from NAME, or export JSON"
        )
    others = sum(len(item.regions) - len(item.drawn) for task in tasks for item in task.annotations)
    if others:
        listing.warnings.append(f"{others} results are neither boxes nor areas nor choices; they were not used")
    if silent:
        listing.warnings.append(
            f"{counted(silent, 'image was', 'images were')} annotated without a region; whether somebody "
            f"looked for one is not said, so their "
            "location counts as unknown"
        )
