"""Writes what a model says about image files, in formats that other programs read: csv, coco, yolo, labelstudio."""

import csv
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from annotator.datasets.export_set import number
from annotator.datasets.formats.names import PredictionFormat
from annotator.label_studio.payload.labeling_config import result_from_boxes, result_from_class
from db.atomic_write import replacing, write_text
from db.imaging.files import is_uri
from db.records.predictions import FilePrediction

COLUMNS = (
    "image", "class", "class_probability", "score", "presence", "x", "y", "width", "height", "box_score",
)  # fmt: skip
LESION = "lesion"
"""What boxes are called where the network tells no classes apart."""


@dataclass(frozen=True, slots=True)
class PredictionSet:
    """Everything to write."""

    images: Collection[FilePrediction]
    """Gone through more than once; not all need be in memory."""
    classes: Sequence[str]
    """All that the model tells apart, in its order."""
    run: str


def write_predictions(predictions: PredictionSet, layout: PredictionFormat, out: Path) -> None:
    """Write predictions whole or not at all.

    Args:
        predictions: what to write.
        layout: the format.
        out: a file, or for yolo a folder; what is there is replaced, in a folder the files of the same names.

    Raises:
        OSError: there is no space, or no permission.
    """
    WRITERS[layout](predictions, out)


def _write_csv(predictions: PredictionSet, out: Path) -> None:
    with replacing(out) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in predictions.images:
            presence = "" if one.presence is None else f"{one.presence:.6g}"
            of_image = (
                one.file,
                one.class_name or "",
                "" if one.class_probability is None else f"{one.class_probability:.6g}",
                f"{one.score:.6g}",
                presence,
            )
            boxes = zip(one.boxes, one.box_scores, strict=True)
            rows = [(*map(number, (box.x, box.y, box.width, box.height)), f"{score:.6g}") for box, score in boxes]
            writer.writerows((*of_image, *row) for row in rows or [("",) * 5])


def _write_coco(predictions: PredictionSet, out: Path) -> None:
    index = _categories(predictions, first=1)
    info = {"description": f"predictions of {predictions.run}, which nobody has reviewed"}
    categories = [{"id": key, "name": name} for name, key in index.items()]
    parts = {"info": info, "images": _coco_images(predictions), "categories": categories}
    _write_json({**parts, "annotations": _coco_annotations(predictions, index)}, out)


def _coco_images(predictions: PredictionSet) -> Iterator[dict[str, Any]]:
    for key, one in enumerate(predictions.images, start=1):
        yield {
            "id": key,
            "file_name": one.file,
            "width": one.width,
            "height": one.height,
            "class": one.class_name,
            "class_probability": one.class_probability,
            "presence": one.presence,
            "score": one.score,
        }


def _coco_annotations(predictions: PredictionSet, index: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    ids = itertools.count(1)
    for key, one in enumerate(predictions.images, start=1):
        for box, score in zip(one.boxes, one.box_scores, strict=True):
            yield {
                "id": next(ids),
                "image_id": key,
                "category_id": index[one.class_name or LESION],
                "bbox": [number(side) for side in (box.x, box.y, box.width, box.height)],
                "area": box.area,
                "iscrowd": 0,
                "score": score,
            }


def _write_yolo(predictions: PredictionSet, out: Path) -> None:
    index = _categories(predictions, first=0)
    taken: set[str] = set()
    names = []
    for one in predictions.images:
        stem, number = PurePosixPath(one.file).stem, 1
        name = f"{stem}.txt"
        # Images of one name from several folders, and file systems that do not tell A from a.
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}.txt"
        taken.add(name.casefold())
        lines = [
            f"{index[one.class_name or LESION]} {(box.x + box.width / 2) / one.width:.6f} "
            f"{(box.y + box.height / 2) / one.height:.6f} {box.width / one.width:.6f} {box.height / one.height:.6f} "
            f"{score:.6f}"
            for box, score in zip(one.boxes, one.box_scores, strict=True)
        ]
        write_text(out / "labels" / name, "".join(f"{line}\n" for line in lines))
        names.append((one.file, name))
    listed = "".join(f"  {n}: {json.dumps(name, ensure_ascii=False)}\n" for name, n in index.items())
    write_text(out / "classes.yaml", f"names:\n{listed}")
    with replacing(out / "images.csv") as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([("image", "labels"), *names])


def _write_label_studio(predictions: PredictionSet, out: Path) -> None:
    _write_json(_tasks(predictions), out)


def _tasks(predictions: PredictionSet) -> Iterator[dict[str, Any]]:
    for one in predictions.images:
        of_class = result_from_class(one.class_name) if one.class_name is not None else []
        result = [*result_from_boxes(one.boxes, one.width, one.height), *of_class]
        prediction = {"model_version": predictions.run, "score": one.score, "result": result}
        yield {"data": {"image": _address(one.file)}, "predictions": [prediction]}


def _categories(predictions: PredictionSet, *, first: int) -> dict[str, int]:
    """Number what boxes are called: the classes, or where the network tells none apart, lesions."""
    named = predictions.classes if all(one.class_name is not None for one in predictions.images) else [LESION]
    return {name: n for n, name in enumerate(named, start=first)}


def _address(file: str) -> str:
    """Name a file as Label Studio asks for it: local ones below `/`, the root of its local storage."""
    return file if is_uri(file) else f"/data/local-files/?d={quote(file.removeprefix('/'))}"


def _write_json(document: Mapping[str, Any] | Iterator[Any], out: Path) -> None:
    """Write a list, or an object some of whose values are lists, an element a line, as they come."""
    with replacing(out) as draft, draft.open("w", encoding="utf-8") as stream:
        if isinstance(document, Iterator):
            stream.writelines(_json_list(document))
        else:
            for n, (key, value) in enumerate(document.items()):
                stream.write(f"{',' if n else '{'}\n{json.dumps(key)}: ")
                stream.writelines(_json_list(value) if isinstance(value, Iterator) else [_json(value)])
            stream.write("\n}")
        stream.write("\n")


def _json_list(values: Iterator[Any]) -> Iterator[str]:
    yield "["
    for n, value in enumerate(values):
        yield f"{',' * bool(n)}\n{_json(value)}"
    yield "\n]"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


WRITERS: Mapping[PredictionFormat, Callable[[PredictionSet, Path], None]] = MappingProxyType(
    {
        PredictionFormat.CSV: _write_csv,
        PredictionFormat.COCO: _write_coco,
        PredictionFormat.YOLO: _write_yolo,
        PredictionFormat.LABEL_STUDIO: _write_label_studio,
    }
)
