"""Tasks and annotations in an export of Label Studio, JSON or JSON-MIN.

JSON holds tasks with all that was said about them; JSON-MIN has a row an annotation, without skipped ones, drafts and
predictions, and does not say which of its texts were choices.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from annotator.datasets.listing.entries import BadEntry, unexpected
from annotator.datasets.listing.folder import read_json
from annotator.errors import DataUnreadable
from db.imaging.decode import SUFFIXES

UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""
WEB = frozenset({"http", "https"})
LOCAL = re.compile(r"[?&]d=(.*)\Z")
"""What stands after `?d=` in the address of a file of the server's own."""
MIN_KEYS = frozenset({"annotation_id", "annotator"})
AGAIN = "export the project from Label Studio again"
LABELS = ("rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels", "labels")
OUTLINES = frozenset({"brush", "polygon", "ellipse"})
"""Kinds of regions."""
VERDICT = "verdict"
"""The choices of a project that partly made; they speak of its proposals, not of classes."""
EMPTY_VERDICTS = frozenset({"no lesion", "nothing there"})
MIN_TEXTS = frozenset({"created_at", "updated_at", "annotator", VERDICT})
"""Texts of JSON-MIN that are known."""


@dataclass(frozen=True, slots=True)
class Region:
    """Something drawn in an annotation."""

    value: Mapping[str, Any]
    size: tuple[Any, Any]
    """Width and height of the image that it was drawn on, None where that is not said."""
    rotation: float
    names: tuple[str, ...]
    number: int = 0
    """Its place among the results of its annotation, from 1."""

    @property
    def kind(self) -> str:
        """What it is: rectangle, polygon, ellipse, brush, or another."""
        if "rle" in self.value:
            return "brush"
        if "points" in self.value:
            return "polygon"
        if "radiusX" in self.value:
            return "ellipse"
        return "rectangle" if {"x", "y", "width", "height"} <= set(self.value) else "other"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What one person has submitted."""

    who: str
    when: str
    regions: tuple[Region, ...]
    choices: Mapping[str, tuple[str, ...]]
    """What was chosen about the image, by control."""
    is_truth: bool
    is_empty: bool
    """It was submitted with nothing in it, or with partly's own verdict that nothing is there."""
    others: int = 0
    """Results that are neither boxes nor outlines nor choices."""

    @property
    def outlines(self) -> int:
        """Count the regions that are outlines."""
        return sum(region.kind in OUTLINES for region in self.regions)

    @property
    def drawn(self) -> list[Region]:
        """The regions that are boxes or outlines."""
        return [region for region in self.regions if region.kind != "other"]


@dataclass(frozen=True, slots=True)
class Task:
    """One image with what people have said about it."""

    names: tuple[str, ...]
    """What the image may be called, the best first."""
    data: Mapping[str, Any]
    annotations: tuple[Annotation, ...]
    skipped: int
    predictions: int
    problem: str | None = None
    """Why it cannot be used."""
    texts: tuple[str, ...] = ()
    """Fields of which JSON-MIN does not say whether they are choices or data."""


def read_tasks(place: str | Path) -> list[Task]:
    """Read an export.

    Raises:
        DataUnreadable: it is missing, or not an export of Label Studio.
    """
    document = read_json(place)
    if not looks_like_label_studio(document):
        raise DataUnreadable(f"{place}: expected a JSON or JSON-MIN export of Label Studio, a list of tasks")
    if any(isinstance(item, dict) and "data" in item for item in document):
        return [_guarded(_task, item, f"task {number}") for number, item in enumerate(document, start=1)]
    by_task: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for number, row in enumerate(document):
        nothing = f"row {number}"
        by_task[json.dumps(row.get("id", nothing) if isinstance(row, dict) else nothing)].append(row)
    return [_guarded(_task_of_rows, rows, f"task {number}") for number, rows in enumerate(by_task.values(), start=1)]


def looks_like_label_studio(document: Any) -> bool:
    """Say whether a JSON document is an export of tasks."""
    return (
        isinstance(document, list)
        and bool(document)
        and any(
            isinstance(item, dict) and (isinstance(item.get("data"), dict) or set(item) >= MIN_KEYS)
            for item in document
        )
    )


def _guarded(read: Callable[[Any], Task], item: Any, where: str) -> Task:
    """Read a task; whatever it holds, the others are read."""
    try:
        return read(item)
    except BadEntry as exc:
        problem = f"{where} cannot be used: {exc}"
    except Exception as exc:
        problem = f"{where}: {unexpected(exc)}"
    # The image that it names is not one that the export leaves out.
    return Task(_names_in(item), {}, (), 0, 0, problem=problem)


def _names_in(item: Any) -> tuple[str, ...]:
    """Return what the image of a task that cannot be used may be called, nothing where that is not to be found out."""
    row = item[0] if isinstance(item, list) else item
    data = row.get("data", row) if isinstance(row, dict) else None
    try:
        return tuple(_image_names(data, row.get("file_upload"))) if isinstance(data, dict) else ()
    except BadEntry:
        return ()


def _list_in(item: Mapping[str, Any], key: str, what: str) -> list[Mapping[str, Any]]:
    """Return a list of objects, none where nothing is said.

    Raises:
        BadEntry: something else is said.
    """
    listed = item.get(key)
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise BadEntry(f"its {key} are not a list; {AGAIN}")
    for number, one in enumerate(listed, start=1):
        if not isinstance(one, dict):
            raise BadEntry(f"{what} {number} is not an object; {AGAIN}")
    return listed


def _task(item: Any) -> Task:
    if not isinstance(item, dict) or not isinstance(item.get("data"), dict):
        raise BadEntry(f"it has no `data` that names an image; {AGAIN}")
    annotations = _list_in(item, "annotations" if "annotations" in item else "completions", "annotation")
    submitted = [one for one in annotations if not one.get("was_cancelled") and not one.get("skipped")]
    drafts, predictions = (
        len(found) if isinstance(found := item.get(key), list) else 0 for key in ("drafts", "predictions")
    )
    return Task(
        tuple(_image_names(item["data"], item.get("file_upload"), _objects(submitted))),
        item["data"],
        tuple(_annotation(one) for one in submitted),
        len(annotations) - len(submitted) + drafts,
        predictions,
    )


def _objects(annotations: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the objects of the page that regions belong to."""
    results = (one for item in annotations for one in _results(item) if isinstance(one, dict))
    return frozenset(str(one["to_name"]) for one in results if one.get("to_name"))


def _results(item: Mapping[str, Any]) -> list[Any]:
    """Return the results of an annotation.

    Raises:
        BadEntry: it has no list of them: an empty one says that somebody found nothing, none says nothing.
    """
    found = item.get("result")
    if not isinstance(found, list):
        said = "null" if found is None else type(found).__name__
        was = "missing" if "result" not in item else f"{said}, not a list"
        raise BadEntry(f"the `result` of annotation {item.get('id')} is {was}; {AGAIN}")
    return found


def _annotation(item: Mapping[str, Any], *, shows_all: bool = True) -> Annotation:
    """Read an annotation.

    Args:
        item: as it is exported.
        shows_all: its result has everything that was said, so that an empty one was submitted as such.
    """
    results = _results(item)
    regions: dict[Any, Region] = {}
    choices: dict[str, tuple[str, ...]] = {}
    others = 0
    for number, one in enumerate(results, start=1):
        if not isinstance(one, dict) or not isinstance(one.get("value"), dict):
            # A relation, or what another control wrote: it says nothing of the place, not even that there is none.
            others += 1
            continue
        value = one["value"]
        size = one.get("original_width"), one.get("original_height")
        region = Region(value, size, _rotation(one.get("image_rotation")), _labels_of(value), number)
        if "choices" in value and region.kind == "other":
            choices[str(one.get("from_name"))] = _chosen(value["choices"], number)
            continue
        # A label and the rectangle that it belongs to may be two results with one id.
        key = str(one.get("id") or f"result {number}")
        known = regions.get(key)
        if known is None:
            regions[key] = region
        else:
            better = known if known.kind != "other" else region
            regions[key] = replace(better, names=known.names or region.names)
    verdicts = {verdict.lower() for verdict in choices.pop(VERDICT, ())}
    return Annotation(
        who=_person(item.get("completed_by")),
        when=str(item.get("updated_at") or item.get("created_at") or ""),
        regions=tuple(regions.values()),
        choices=choices,
        is_truth=item.get("ground_truth") is True,
        is_empty=not regions and (bool(verdicts & EMPTY_VERDICTS) or (shows_all and not results)),
        others=others + sum(region.kind == "other" for region in regions.values()),
    )


def _chosen(values: Any, number: int) -> tuple[str, ...]:
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, list):
        raise BadEntry(f"the choices of result {number} are not a list; {AGAIN}")
    return tuple(map(str, values))


def _rotation(value: Any) -> float:
    try:
        return float(value or 0) % 360
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _person(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("email") or value.get("id"))
    return str(value)


def _labels_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    for key in LABELS:
        names = value.get(key)
        if isinstance(names, list) and names:
            return tuple(map(str, names))
    return ()


def _task_of_rows(rows: Sequence[Any]) -> Task:
    """Gather the rows of JSON-MIN that are about one task, one row an annotation."""
    if not isinstance(rows[0], dict):
        raise BadEntry(f"it is not an object; {AGAIN}")
    data = {key: value for key, value in rows[0].items() if isinstance(value, str)}
    annotations = [
        _annotation(
            {
                "completed_by": row.get("annotator"),
                "updated_at": row.get("updated_at"),
                "result": list(_results_of_row(row)),
            },
            # A row without a region may be a choice, which looks like any text of the task's data.
            shows_all=False,
        )
        for row in rows
        if row.get("annotation_id") is not None
    ]
    texts = tuple(key for key, text in data.items() if key not in MIN_TEXTS and not _paths_in(text))
    return Task(tuple(_image_names(data, None)), data, tuple(annotations), 0, 0, texts=texts)


def _results_of_row(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for key, values in row.items():
        if isinstance(values, dict) and isinstance(values.get("choices"), list):
            yield {"from_name": key, "value": values}
        if key == VERDICT and isinstance(values, str):
            yield {"from_name": key, "value": {"choices": [values]}}
        for value in values if isinstance(values, list) else ():
            if isinstance(value, dict):
                size = {side: value.get(side) for side in ("original_width", "original_height")}
                yield {"from_name": key, "value": value, **size}


def _image_names(data: Mapping[str, Any], uploaded: Any, about: Collection[str] = ()) -> list[str]:
    """Return what a task's image may be called in a folder, the best first.

    Args:
        data: of the task.
        uploaded: the name of the file that the task was made from, if that is said.
        about: the objects that regions belong to, which are often called like the data that they show.

    Raises:
        BadEntry: it has several images, and nothing says which one is meant.
    """
    places = {key: paths for key, text in data.items() if isinstance(text, str) and (paths := _paths_in(text))}
    if len({paths[0] for paths in places.values()}) > 1:
        meant = [key for key in about if key in places]
        if len(about) != 1 or not meant:
            raise BadEntry(f"its data names several images ({', '.join(sorted(places))}); it is unclear which is meant")
        places = {meant[0]: places[meant[0]]}
    if not places:
        return []
    names: list[str] = []
    for place in next(iter(places.values())):
        last = PurePosixPath(place).name
        if place in (last, uploaded) or "/data/upload/" in f"/{place.lstrip('/')}":
            # The folder of an upload is the server's own, and so is what stands before the name.
            names += [last, UPLOADED.sub("", last)]
        else:
            names.append(place)
    return list(dict.fromkeys(names))


def _paths_in(text: str) -> tuple[str, ...]:
    """Return the paths of an image that a text may name, the most likely first; none where it names no image.

    An object of a bucket is called as it stands: `#`, `?` and `%` are letters of its name. In an address of the web
    they are not, unless somebody wrote it by hand; a file that was fetched from there may be called either way.
    """
    if text.startswith("data:") or "\n" in text:
        return ()
    scheme, mark, rest = text.partition("://")
    if text.startswith("/data/") or scheme.lower() in WEB:
        paths = _paths_of_address(text)
    elif mark:
        key = rest.partition("/")[2]
        paths = [f"/{key}", f"/{unquote(key)}", f"/{key.partition('?')[0]}", text]
    else:
        paths = [text]
    return tuple(dict.fromkeys(path for path in paths if PurePosixPath(path).suffix.lower() in SUFFIXES))


def _paths_of_address(text: str) -> list[str]:
    try:
        parts = urlsplit(text)
    except ValueError:
        return [text]
    said = LOCAL.search(text)
    local = [*parse_qs(parts.query).get("d", []), unquote(said[1]), said[1]] if said is not None else []
    whole = f"{parts.path}#{parts.fragment}" if parts.fragment else parts.path
    below = [f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}"] if parts.netloc else []
    own = [unquote(parts.path), parts.path, unquote(whole), whole, *below]
    # A signed address has odd parameters of its own.
    return [*local, *own] if "local-files" in parts.path else [*own, *local]
