"""A simulation from a data set: it is registered beside the replays, and split by group, once."""

from dataclasses import dataclass
from pathlib import Path

from annotator.datasets.import_images import import_images
from annotator.datasets.import_request import ImportRequest
from db.curation.splitting import split_images
from db.errors import Conflict
from db.progress import Progress
from db.records import Split
from db.registry import Registry, create_registry
from learner.simulation.replay import REGISTRY
from learner.simulation.simulate import TRUTH, open_truth

HELD_BACK, FOR_CERTIFICATES = 0.2, 0.15


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a simulation replays."""

    path: Path
    layout: str = "auto"
    seed: int = 0
    """Of the split."""


def register_truth(data: DataSet, out: Path, progress: Progress) -> Registry:
    """Open the registry that knows every location; the first time, register the data set and hold a fifth back.

    A split that the data set brings stays.

    Raises:
        Conflict: the folder holds the simulation of another data set.
        AnnotatorError, RegistryError: the data set cannot be read.
    """
    said = out / TRUTH / "data.txt"
    here = f"{data.path.resolve()} seed {data.seed}"
    if said.exists():
        if said.read_text(encoding="utf-8") != here:
            raise Conflict(f"{out} holds a simulation on other data ({said}); give another folder with --out")
        return open_truth(out)
    folder = (out / TRUTH).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    registry = create_registry(f"sqlite:///{folder}/{REGISTRY}", folder)
    import_images(registry, ImportRequest(data.path, data.layout), progress=progress)
    with registry.read() as tx:
        is_split = bool(tx.images.count(splits=[Split.TEST]))
    split_images(registry, val=FOR_CERTIFICATES, test=0.0 if is_split else HELD_BACK, seed=data.seed)
    said.write_text(here, encoding="utf-8")
    return registry
