"""What the processes of the fault tests do. Imported by a fork server, so that each starts in a moment."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from annotator.import_images import import_images
from db.records import Box, Location, LocationSource, LocationStatus, NewLabel
from db.registry import Registry, create_registry, open_for_upgrade, open_registry
from db.retraction import retract_labels

HISTORIC = datetime(2020, 1, 1, tzinfo=UTC)


def import_set(url: str, root: str, folder: str) -> None:
    """Import a folder in the csv layout."""
    registry = open_registry(url, Path(root))
    report = import_images(registry, Path(folder), "csv")
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
    """Pull reviews from a Label Studio."""
    from annotator.client import LabelStudioClient
    from annotator.pull import pull_reviews

    registry = open_registry(url, Path(root))
    with LabelStudioClient(address, token) as client:
        pull_reviews(registry, client)
    registry.close()


def label_steadily(url: str, root: str, name: str, count: int) -> None:
    """Append labels one transaction at a time to every image there is, as a pull beside an import would."""
    registry = open_registry(url, Path(root))
    for n in range(count):
        with registry.begin() as tx:
            images = tx.images.select(limit=20)
            location = Location(LocationStatus.PRESENT, (Box(n % 7, 1, 2, 2),))
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
