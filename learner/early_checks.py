"""What can be known to be wrong before anything is loaded: no run, no image, weights that are not there. No torch.

A command that needs a network asks here first, so that a slip of the finger is answered at once and not after torch.
"""

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from db.records import RunRecord, RunStatus
from db.records.images import OUTSIDE_TEST
from db.registry import Registry
from learner.config import TrainConfig
from learner.errors import CheckpointIncompatible, ConfigInvalid, ImagesMissing, WeightsUnavailable

MODELS = re.compile(r"^def (\w+)\(pretrained\b|['\"](\w+)['\"] ?: ", re.MULTILINE)
"""A model in timm's source, or an entry of its table of earlier names."""
NO_IMAGE = "there is no image to train on; register some with: partly import PATH"
NO_TEST = "there is no test split to evaluate on; create one with: partly split --val 0.15 --test 0.2"
WEIGHTS_WORDS = ("auto", "imagenet", "none")
RUN_NAME = re.compile(r"run-\d+")
DEVICES = ("auto", "cpu", "cuda", "mps")
DEVICE = re.compile(r"[a-z]+(:\d+)?")
OTHER_DEVICES = ("xpu", "hpu", "xla", "mtia", "privateuseone")
"""That torch knows on some machines."""


def finished_run(registry: Registry, run: str | None) -> RunRecord:
    """Return a run that can be used.

    Args:
        registry: where the run is.
        run: its name, None for the newest finished one.

    Raises:
        NotFound: there is no such run; CheckpointIncompatible: it has not finished.
    """
    with registry.read() as tx:
        record = tx.runs.get(run) if run is not None else tx.runs.latest()
    if record.checkpoint is None:
        raise CheckpointIncompatible(
            f"{record.name} has not finished, so it has no checkpoint; see: partly train --resume"
        )
    return record


def check_training(registry: Registry, config: TrainConfig, *, resume: bool = False) -> None:
    """Check what a training cannot do without.

    Args:
        registry: of the images.
        config: what was asked for.
        resume: an interrupted run goes on, which needs no weights to start from.

    Raises:
        ImagesMissing: there is no image outside test; WeightsUnavailable, RunUnknown: there are no such weights.
        ConfigInvalid: there is no such device or encoder; RunMissing: there is no run to resume.
    """
    _check_device(config.device)
    _check_encoder(config.encoder)
    with registry.read() as tx:
        if resume and not any(run.status in (RunStatus.RUNNING, RunStatus.FAILED) for run in tx.runs.all()):
            tx.runs.latest(RunStatus.RUNNING)
        if not tx.images.count(splits=OUTSIDE_TEST):
            raise ImagesMissing(NO_IMAGE)
        path = Path(config.weights).expanduser()
        if resume or config.weights in WEIGHTS_WORDS or path.exists():
            return
        if RUN_NAME.fullmatch(config.weights):
            tx.runs.get(config.weights)
            return
    near = difflib.get_close_matches(config.weights, WEIGHTS_WORDS, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise WeightsUnavailable(
        f"--weights {config.weights}: there is no such file; {meant}it is one of {', '.join(WEIGHTS_WORDS)}, a run "
        "(run-3), or a safetensors file"
    )


def _check_device(name: str) -> None:
    kind = name.partition(":")[0]
    if DEVICE.fullmatch(name) and kind in (*DEVICES, *OTHER_DEVICES):
        return
    near = ["cuda"] if kind == "gpu" else difflib.get_close_matches(name, DEVICES, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ConfigInvalid(f"there is no device={name}; {meant}it is one of auto, cpu, cuda, cuda:1, mps")


def _check_encoder(name: str) -> None:
    known = timm_names()
    if not known or name.partition(".")[0] in known:
        return
    near = difflib.get_close_matches(name.partition(".")[0], known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise ConfigInvalid(
        f"timm has no encoder={name}; {meant}some that it has: resnet18, tf_efficientnet_lite0, convnext_tiny"
    )


@cache
def timm_names() -> frozenset[str]:
    """Read the names of timm's models, those of earlier versions too, from its source: importing it takes seconds."""
    spec = find_spec("timm")
    places = spec.submodule_search_locations if spec is not None else None
    modules = [module for place in places or () for module in (Path(place) / "models").glob("*.py")]
    found = (MODELS.finditer(module.read_text(encoding="utf-8")) for module in modules)
    return frozenset(match[1] or match[2] for matches in found for match in matches)


def check_images(registry: Registry, purpose: str) -> None:
    """Check that there is an image outside test.

    Args:
        registry: of the images.
        purpose: what they are for, as in "to ask about".

    Raises:
        ImagesMissing: there is none.
    """
    with registry.read() as tx:
        if not tx.images.count(splits=OUTSIDE_TEST):
            raise ImagesMissing(f"there is no image {purpose}; register some with: partly import PATH")
