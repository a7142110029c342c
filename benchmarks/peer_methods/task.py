"""The task that every method is given: the same images, the same known locations, the same test images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.leakage import group_names
from db.curation.splitting import split_images
from db.progress import Progress
from db.records import ImageRecord, Split
from db.registry import Registry, create_registry, open_registry
from learner.config import make_config
from learner.data.location_share import hide_locations
from learner.data.selection import select_training_data

VAL, TEST = 0.15, 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """What is known to a training with a share of the locations, and what it is tested on."""

    train: tuple[ImageRecord, ...]
    """Those whose location is hidden have no label."""
    val: tuple[ImageRecord, ...]
    test: Mapping[int, ImageRecord]
    """By number."""
    classes: tuple[str, ...]
    empty: tuple[str, ...]
    """Classes all of whose known locations are empty."""
    groups: Mapping[int, str]
    """The group of every image."""
    minutes: float
    """That a training may take."""
    seed: int
    folder: Path
    """For what a method writes."""


def open_project(data: Path, folder: Path, progress: Progress) -> Registry:
    """Open the project of a comparison; the first time, register the images and split them by group."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"sqlite:///{folder.resolve()}/registry.sqlite3"
    if (folder / "registry.sqlite3").exists():
        return open_registry(address, folder)
    registry = create_registry(address, folder)
    import_images(registry, ImportRequest(data, "csv"), progress=progress)
    split_images(registry, val=VAL, test=TEST, seed=0)
    return registry


def make_task(registry: Registry, share: float, seed: int, minutes: float, folder: Path) -> Task:
    """Choose what a method may know: what partly's own training with this share and seed knows."""
    config = make_config("default", {"location_share": share, "seed": seed})
    with registry.begin(rehearsal=True) as tx:
        data = select_training_data(tx, config)
        images = tx.images.select()
        groups = group_names(tx)
        parts = [tx.images.select(ids=part.ids) for part in (data.train, data.val)]
    train, val = (hide_locations(part, share, seed) for part in parts)
    known = [image for image in train if image.is_located]
    present = {image.class_name for image in known if image.boxes}
    return Task(
        train=tuple(train),
        val=tuple(val),
        test={image.id: image for image in images if image.split is Split.TEST and image.is_located},
        classes=tuple(data.classes),
        empty=tuple(name for name in data.classes if name not in present),
        groups=groups,
        minutes=minutes,
        seed=seed,
        folder=folder,
    )
