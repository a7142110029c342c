"""Predictions for files and folders that are not registered: what is done stays done, and is written at the end.

Images are found on the annotator's side and scored on the learner's. Beside the output lies a list of what has been
scored, a line an image, so that a command which was cut goes on where it stopped; it goes when the output is there.
"""

import json
import os
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from annotator.datasets.formats.names import PredictionFormat
from annotator.datasets.listing.folder import OUTSIDE, Folder
from annotator.prediction_formats import PredictionSet, write_predictions
from db.errors import Conflict, InvalidArgument
from db.imaging.decode import SUFFIXES
from db.imaging.files import ImageFile, is_uri
from db.plain_text import shown
from db.progress import Progress
from db.records import Box
from db.records.predictions import FilePrediction, UnreadableFile

if TYPE_CHECKING:
    from learner.inference.trained_model import TrainedModel

FORMAT = 1


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What was predicted, and where it was written."""

    run: str
    out: Path
    format: str
    images: int
    """Images that were scored."""
    found: int
    """Of these, images in which something was found."""
    boxes: int
    resumed: int
    """Images that an earlier, interrupted command had scored."""
    unreadable: tuple[UnreadableFile, ...]


def find_images(sources: Sequence[str]) -> tuple[list[ImageFile], list[UnreadableFile]]:
    """List image files: those named, and those in folders and below them.

    Args:
        sources: files, folders, or fsspec URIs of either.

    Returns:
        The files, each once, and those that are not read: links that lead out of their folder, names that are no text.

    Raises:
        DataUnreadable: a folder cannot be listed; InvalidArgument: there is no such file or folder, or no image.
    """
    suffixes, found = tuple(sorted(SUFFIXES)), dict[str, ImageFile]()
    left_out: list[UnreadableFile] = []
    for source in sources:
        path = None if is_uri(source) else Path(source)
        if path is not None and not path.exists():
            raise InvalidArgument(f"{shown(source)}: there is no such file or folder")
        if path.is_file() if path is not None else source.lower().endswith(suffixes):
            files = [ImageFile.at(source)]
        else:
            folder = Folder(source)
            named = {name: folder.file(name) for name in folder.names() if name.lower().endswith(suffixes)}
            files = [file for file in named.values() if file is not None]
            outside = (f"{folder}/{name}" for name, file in named.items() if file is None)
            left_out += [UnreadableFile(_as_text(name), OUTSIDE) for name in outside]
        for file in files:
            if _as_text(str(file)) == str(file):
                found[str(file)] = file
            else:
                left_out.append(UnreadableFile(_as_text(str(file)), "its name is not valid UTF-8; rename the file"))
    if not found:
        why = f"; {len(left_out)} were left out, the first: {left_out[0].reason}" if left_out else ""
        raise InvalidArgument(
            f"no image was found in {shown(', '.join(sources))}{why}; images end in {', '.join(suffixes)}"
        )
    return list(found.values()), left_out


def _as_text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def check_out(out: Path, layout: PredictionFormat, files: Sequence[ImageFile]) -> Path:
    """Return the place to write to, or refuse it before anything is scored.

    Raises:
        InvalidArgument: it is one of the images, or looks like one; a folder where a file is written, or a file where
            a folder is.
    """
    place = out.resolve()
    if place.suffix.lower() in SUFFIXES or str(ImageFile.at(place)) in {str(file) for file in files}:
        raise InvalidArgument(
            f"{shown(str(out))}: the last argument is the file to write, but this is an image; for example: "
            "partly predict scans predictions.csv"
        )
    is_folder = layout is PredictionFormat.YOLO
    if place.exists() and place.is_dir() != is_folder:
        kind = "a folder, but a file is written" if place.is_dir() else "a file, but a folder is written"
        raise InvalidArgument(f"{shown(str(out))} is {kind} with --format {layout}; name another place")
    return place


def predict_to_file(
    model: "TrainedModel",
    name: str,
    files: Sequence[ImageFile],
    out: Path,
    layout: PredictionFormat,
    progress: Progress,
) -> PredictReport:
    """Score images and write what is found; a command that was cut goes on.

    Args:
        model: what is asked.
        name: of its run.
        files: images.
        out: file or folder to write, from `check_out`.
        layout: how.
        progress: where to show how far it is.

    Raises:
        InvalidArgument: an interrupted command wrote there that used another run.
    """
    # Loads slowly, and whoever has mistyped something is told before.
    from learner.inference.predict_files import predict_files, weights_sha256

    head = {"format": FORMAT, "run": name, "weights": weights_sha256(model)}
    place = {str(file): n for n, file in enumerate(files)}
    unreadable: dict[int, UnreadableFile] = {}
    # As they are before they are read: one that is changed meanwhile is scored again by the next command.
    states = _States(files)
    with _Journal(out.with_name(f".{out.name}.scored.jsonl"), head, files) as journal:
        for at, one, state in journal.read():
            n = place.get(one.file)
            if n is not None and states[n] == state:
                journal.lines_N[n] = at
        left = [file for n, file in enumerate(files) if journal.lines_N[n] < 0]
        for said in predict_files(model, left, progress=progress):
            n = place[said.file]
            # What could not be read is tried again by the next command.
            if isinstance(said, UnreadableFile):
                unreadable[n] = said
            else:
                journal.lines_N[n] = journal.add(said, states[n])
        write_predictions(PredictionSet(journal, model.classes, name), layout, out)
        boxes_N = [len(one.boxes) for one in journal]
        journal.delete()
    return PredictReport(
        run=name,
        out=out,
        format=layout.value,
        images=len(boxes_N),
        found=sum(count > 0 for count in boxes_N),
        boxes=sum(boxes_N),
        resumed=len(files) - len(left),
        unreadable=tuple(unreadable[n] for n in sorted(unreadable)),
    )


class _States:
    """The state that each file is in, 16 bytes a file; "" for one that is missing, or remote."""

    def __init__(self, files: Sequence[ImageFile]) -> None:
        self._numbers_N2 = array("q")
        for file in files:
            size, _, changed = (file.state() or "-1/-1").partition("/")
            self._numbers_N2.extend((int(size), int(changed)))

    def __getitem__(self, n: int) -> str:
        size, changed = self._numbers_N2[2 * n : 2 * n + 2]
        return f"{size}/{changed}" if size >= 0 else ""


class _Journal(Collection[FilePrediction]):
    """What has been scored, a line an image, after a first line that says by what; only where lines begin is in memory.

    As a collection it holds what is said of the wanted files, in their order.
    """

    def __init__(self, file: Path, head: dict[str, Any], files: Sequence[ImageFile]) -> None:
        self._file, self._head, self._files = file, head, files
        self._lock = FileLock(file.with_name(f"{file.name}.lock"))
        self.lines_N = array("q", [-1]) * len(files)
        """Where the line of each wanted file begins, bytes; -1 where there is none."""

    def __enter__(self) -> "_Journal":
        """Open it for more; nobody else can until it is closed.

        Raises:
            InvalidArgument: an interrupted command used another run; Conflict: another command is at work on it.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise Conflict(
                f"another partly predict is writing next to {self._file}; wait for it, or write to another place"
            ) from None
        try:
            return self._opened()
        except BaseException:
            self._lock.release()
            raise

    def _opened(self) -> "_Journal":
        self._stream = self._file.open("a+b")
        self._stream.seek(0)
        first = self._stream.readline()
        head = _row(first) if first.endswith(b"\n") else None
        if head is None:
            self._stream.truncate(0)
            self._write(self._head)
        elif head != self._head:
            self._stream.close()
            raise InvalidArgument(
                f"{self._file} holds what an interrupted command scored with {head.get('run')}, not with "
                f"{self._head['run']}; delete it, or write to another place"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release()

    def read(self) -> Iterator[tuple[int, FilePrediction, str]]:
        """Yield what an interrupted command has scored: where its line begins, what it says, its file's state then."""
        self._stream.seek(0)
        at = len(self._stream.readline())
        for line in self._stream:
            if not line.endswith(b"\n"):
                # It was cut short, and is taken off so that the next one begins on its own.
                self._stream.truncate(at)
                return
            found = _prediction(_row(line))
            if found is not None:
                yield at, *found
            at += len(line)

    def add(self, one: FilePrediction, state: str) -> int:
        """Keep what is said of an image whose file was in some state, and return where that stands."""
        return self._write({"state": state, **asdict(one)})

    def _write(self, row: dict[str, Any]) -> int:
        at = self._stream.seek(0, os.SEEK_END)
        self._stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._stream.flush()
        return at

    def __len__(self) -> int:
        return sum(at >= 0 for at in self.lines_N)

    def __iter__(self) -> Iterator[FilePrediction]:
        for file, at in zip(self._files, self.lines_N, strict=True):
            if at >= 0:
                self._stream.seek(at)
                found = _prediction(_row(self._stream.readline()))
                if found is None or found[0].file != str(file):
                    raise InvalidArgument(f"{self._file} was changed by another program; delete it and repeat")
                yield found[0]

    def __contains__(self, one: object) -> bool:
        return any(one == known for known in self)

    def delete(self) -> None:
        """Remove it."""
        self._stream.close()
        self._file.unlink(missing_ok=True)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _prediction(row: dict[str, Any] | None) -> tuple[FilePrediction, str] | None:
    if row is None:
        return None
    try:
        state = str(row.pop("state"))
        boxes = tuple(Box(**box) for box in row["boxes"])
        return FilePrediction(**{**row, "boxes": boxes, "box_scores": tuple(row["box_scores"])}), state
    except (TypeError, KeyError, ValueError):
        return None
