"""Scores of a large pool, written down as they come: a cut `propose` goes on, and one with another tau need not score.

They lie in the project's folder `.cache/scores/`, one SQLite file a process. They are a run's, by one gate, for images
with the content and class that they had; what does not fit any more is scored again, and so is everything where the
files cannot be read or written.
"""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from db.atomic_write import OWNER_ONLY
from db.records import Box, ImageRecord
from learner.cache_place import SCORES
from learner.distributed import Processes
from learner.inference.scored import Scored
from learner.inference.trained_model import TrainedModel

COLUMNS = "id INTEGER PRIMARY KEY, content TEXT, class TEXT, document TEXT"
KEPT_FROM = 1000
"""Images from which on it pays."""
WRITTEN_AT_ONCE = 256


class KeptScores:
    """What was scored before, and a place for what is scored now."""

    def __init__(self, root: Path, model: TrainedModel, gate: str, processes: Processes) -> None:
        """Look for the scores of a run; those of other runs go.

        Args:
            root: the project's folder.
            model: the run.
            gate: what the scores are by.
            processes: that share the pool, each with a file of its own.
        """
        words = (version("partly"), model.run.name, str(model.run.created_at), gate, str(model.config.size))
        name = f"{model.run.name}-{hashlib.sha256('/'.join(words).encode()).hexdigest()[:12]}"
        self._folder, self._name = root / SCORES, name
        self._file = self._folder / f"{name}.{processes.number}.sqlite3"
        self._new: list[tuple[int, str, str | None, str]] = []
        self._works = True
        if processes.is_first:
            for file in self._folder.glob("*.sqlite3"):
                if not file.name.startswith(f"{name}."):
                    with contextlib.suppress(OSError):
                        file.unlink()
        self._files = list(self._sound_files())

    def read(self, images: Sequence[ImageRecord]) -> dict[int, Scored]:
        """Return the scores of images, by number; none of one whose content or class is another by now."""
        found: dict[int, Scored] = {}
        by_id = {image.id: image for image in images}
        marks = ", ".join("?" * len(by_id))
        statement = f"SELECT id, content, class, document FROM scores WHERE id IN ({marks})"
        for file in self._files:
            with contextlib.suppress(sqlite3.Error, OSError, ValueError, TypeError), _open(file) as connection:
                for image_id, content, class_name, document in connection.execute(statement, list(by_id)):
                    image = by_id[image_id]
                    if (content, class_name) == (image.content_hash, image.class_name):
                        found[image_id] = _from_document(image, json.loads(document))
        return found

    def add(self, scored: Scored) -> None:
        """Keep the scores of an image."""
        image = scored.image
        self._new.append((image.id, image.content_hash, image.class_name, json.dumps(_to_document(scored))))
        if len(self._new) >= WRITTEN_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Put what was added onto the disk; where that fails it is not tried again."""
        rows, self._new = self._new, []
        if not rows or not self._works:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file.touch(mode=OWNER_ONLY)
            with _open(self._file) as connection:
                connection.execute(f"CREATE TABLE IF NOT EXISTS scores ({COLUMNS})")
                connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
        except (sqlite3.Error, OSError):
            self._works = False

    def _sound_files(self) -> Iterator[Path]:
        """Yield the files of all processes that have shared the pool; what is damaged is scored again."""
        for file in sorted(self._folder.glob(f"{self._name}.*.sqlite3")):
            try:
                with _open(file) as connection:
                    connection.execute("SELECT id FROM scores LIMIT 1").fetchall()
                yield file
            except sqlite3.Error:
                with contextlib.suppress(OSError):
                    file.unlink()


@contextlib.contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(file, timeout=10)
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def _to_document(scored: Scored) -> dict[str, Any]:
    return {
        "boxes": [[box.x, box.y, box.width, box.height] for box in scored.boxes],
        "class_name": scored.class_name,
        "class_probability": scored.class_probability,
        "score": scored.score,
        "box_scores": scored.box_scores,
        "presence": scored.presence,
        "known_class_probability": scored.known_class_probability,
        "entropy": scored.entropy,
        "disagreement": scored.disagreement,
    }


def _from_document(image: ImageRecord, document: dict[str, Any]) -> Scored:
    boxes = tuple(Box(*box) for box in document.pop("boxes"))
    return Scored(image, boxes, box_scores=tuple(document.pop("box_scores")), **document)
