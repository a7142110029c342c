"""What the processes of the fault tests do. Imported by a fork server, so that each starts in a moment."""

import importlib
import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from annotator.label_studio.client import ProjectTotals
from annotator.label_studio.push.plan import PushRequest
from db.errors import Conflict
from db.history.retraction import retract_labels
from db.maintenance.backup import backup_registry, upgrade_registry
from db.records import Box, Location, LocationSource, LocationStatus, NewLabel
from db.registry import Registry, create_registry, open_for_upgrade, open_registry
from learner.data.framed_store import FramedStore, framed_key

# What the code loads when it needs it is here before the server forks: once, and not in every process.
for module in ("db.migrations", "scipy.fft", "scipy.spatial", "skimage.measure", "sqlalchemy.dialects.sqlite"):
    importlib.import_module(module)
Image.init()

HISTORIC = datetime(2020, 1, 1, tzinfo=UTC)


def init(url: str, root: str) -> None:
    """Make a registry, or find the one that somebody else has just made."""
    create_registry(url, Path(root)).close()


def import_set(url: str, root: str, folder: str) -> None:
    """Import a folder in the csv layout."""
    registry = open_registry(url, Path(root))
    report = import_images(registry, ImportRequest(Path(folder), "csv"))
    registry.close()
    if report.refused:
        raise SystemExit(f"refused: {report.refused[:3]}")


def retract_all(url: str, root: str) -> None:
    """Take every label back."""
    registry = open_registry(url, Path(root))
    retract_labels(registry, since=HISTORIC)
    registry.close()


def upgrade(url: str, root: str) -> None:
    """Bring the schema up to date."""
    registry = open_for_upgrade(url, Path(root))
    registry.upgrade()
    registry.close()


def pull(url: str, root: str, address: str, token: str) -> None:
    """Pull reviews from a Label Studio, a few in a transaction."""
    import annotator.label_studio.pull.pull_reviews
    from annotator.label_studio.client import LabelStudioClient
    from annotator.label_studio.pull.pull_reviews import pull_reviews

    annotator.label_studio.pull.pull_reviews.CHUNK = 4
    registry = open_registry(url, Path(root))
    with LabelStudioClient(address, token) as client:
        pull_reviews(registry, client)
    registry.close()


def push(url: str, root: str, address: str, token: str, media: str) -> None:
    """Push proposals to a Label Studio, a few in a request, with a limit and shares."""
    import annotator.label_studio.push.execute
    from annotator.label_studio.client import LabelStudioClient
    from annotator.label_studio.push.push_images import push_images

    annotator.label_studio.push.execute.CHUNK = 3
    registry = open_registry(url, Path(root))
    with LabelStudioClient(address, token) as client:
        push_images(
            registry, client, PushRequest(limit=12, control_share=0.3, catch_share=0.2), media_folder=Path(media)
        )
    registry.close()


class Recorded:
    """What a real Label Studio answered a moment ago, without the time that its answers take."""

    def __init__(self, file: str) -> None:
        self._answers = json.loads(Path(file).read_text())
        self.http = self

    def get(self, path: str) -> dict[str, Any]:
        """Return the recorded project."""
        return dict(self._answers["project"])

    def totals(self, project_id: int) -> ProjectTotals:
        """Return what the recorded tasks add up to."""
        tasks = self._answers["tasks"]
        return ProjectTotals(len(tasks), sum(len(task["annotations"]) for task in tasks), "2020-01-01T00:00:00Z")

    def list_tasks(
        self, project_id: int, *, with_annotations: bool, changed_since: str | None = None
    ) -> list[dict[str, Any]]:
        """Return the recorded tasks."""
        return list(self._answers["tasks"])

    def user_names(self) -> dict[int, str]:
        """Return the recorded users."""
        return {int(key): name for key, name in self._answers["users"].items()}


def pull_recorded(url: str, root: str, file: str) -> None:
    """Pull what was recorded, a few reviews in a transaction."""
    import annotator.label_studio.pull.pull_reviews
    from annotator.label_studio.pull.pull_reviews import pull_reviews

    annotator.label_studio.pull.pull_reviews.CHUNK = 2
    registry = open_registry(url, Path(root))
    pull_reviews(registry, Recorded(file))  # type: ignore[arg-type]
    registry.close()


def label_steadily(url: str, root: str, name: str, count: int) -> None:
    """Append labels one transaction at a time to every image there is, as a pull beside an import would."""
    registry = open_registry(url, Path(root))
    for n in range(count):
        with registry.begin() as tx:
            images = tx.images.select(limit=20)
            location = Location(LocationStatus.PRESENT, (Box(n, len(name), 2, 2),))
            tx.labels.append_many(
                [NewLabel(image.id, location, LocationSource.IMPORTED, on_test=True, origin=name) for image in images]
            )
    registry.close()


def kill_after(seconds: float, work, *arguments) -> None:
    """Run `work` in this process and kill it (as with kill -9) after some time, wherever it is."""
    import threading

    def strike() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=strike, daemon=True).start()
    work(*arguments)
    # Finished before the stroke: that is one of the moments too.
    os._exit(0)


def make_registry(folder: Path, name: str = "r.sqlite3") -> tuple[str, Registry]:
    """Make an empty registry in a folder."""
    url = f"sqlite:///{folder}/{name}"
    return url, create_registry(url, folder)


def back_up(url: str, root: str, out: str, barrier: Any, outcomes: Any) -> None:
    """Write a backup at the same moment as others, and tell how it went."""
    registry = open_registry(url, Path(root))
    barrier.wait(60)
    try:
        backup_registry(registry, Path(out))
        outcomes.put("written")
    except Conflict as exc:
        outcomes.put(str(exc))
    registry.close()


def upgrade_with_copy(url: str, root: str, barrier: Any, outcomes: Any) -> None:
    """Upgrade at the same moment as others, and tell where the safety copy went."""
    barrier.wait(60)
    copy = upgrade_registry(url, Path(root)).copy
    outcomes.put(copy.name if copy is not None else None)


def export_set(url: str, root: str, out: str, barrier: Any, outcomes: Any) -> None:
    """Export at the same moment as others, and tell how it went."""
    from annotator.datasets.export_images import ExportRequest, export_images

    registry = open_registry(url, Path(root))
    barrier.wait(60)
    try:
        export_images(registry, ExportRequest(Path(out), "coco"))
        outcomes.put("written")
    except Conflict as exc:
        outcomes.put(str(exc))
    registry.close()


SIDE = 64


def square(number):
    return np.random.default_rng(number).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)


def frame_for_ever(root, first):
    """Write framed images, eight at a time."""
    store, number = FramedStore(root), first
    while True:
        store.write({framed_key(str(number + k), SIDE, "resize"): square(number + k) for k in range(8)})
        number += 8
