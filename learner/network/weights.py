"""Weights that an encoder starts from: ImageNet's from the model hub, or a file. Whole or not at all.

A file may call the same tensor otherwise: behind a prefix (`module.`, `backbone.`), or with a dot where timm's feature
encoders have an underscore. It may hold more than the encoder has, such as a classifier.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from learner.errors import WeightsUnavailable
from learner.input_range import Statistics
from learner.network.encoder import create_timm
from learner.network.hub import fetch_pretrained
from learner.network.packaged_weights import load_packaged, package_source, packaged_file
from learner.network.weights_source import RANDOM, WeightsSource
from learner.tensor_files import file_sha256, read_tensors

PREFIXES = (
    "", "encoder.body.", "model.encoder.body.", "encoder.", "backbone.", "body.", "model.", "module.",
    "model.encoder.", "model.backbone.", "module.model.", "module.backbone.", "module.encoder.",
)  # fmt: skip
"""What the names of an encoder's tensors may begin with in a file; the first under which most of them fit counts."""

OPTIONAL = "num_batches_tracked"
"""Counters that older programs do not write, and that nothing here reads."""


FROM_TIMM = "tu-"
"""What segmentation-models-pytorch puts before the name of an encoder that it takes from timm."""
PACKAGED_SIZE = 224
"""Side of the images that timm's models are made for where nothing is said; it changes no tensor of theirs."""


class Loadable(Protocol):
    """An encoder that weights can be loaded into."""

    name: str
    body: Any

    def pretrained_body(self) -> nn.Module:
        """Return the same encoder with its ImageNet weights."""

    def pretrained_statistics(self) -> Statistics:
        """Return mean and deviation that its ImageNet weights were made with."""


def load_encoder_weights(encoder: Loadable, weights: str) -> WeightsSource:
    """Load encoder weights: `none`, `imagenet` (from a package, its cache or the model hub), or a safetensors file.

    Returns:
        Where they come from.

    Raises:
        WeightsUnavailable: they cannot be had or do not fit, and nothing was loaded.
    """
    if weights == "none":
        return RANDOM
    if weights == "imagenet":
        try:
            return load_imagenet(encoder)
        except WeightsUnavailable as exc:
            raise WeightsUnavailable(
                f"{exc}. Train from scratch with --weights none, or start from a file with --weights FILE.safetensors"
            ) from exc
    file = Path(weights).expanduser()
    try:
        state, digest = read_tensors(file), file_sha256(file)
    except (OSError, ValueError) as exc:
        raise WeightsUnavailable(f"--weights {weights}: cannot be read as a safetensors file ({exc})") from exc
    body = encoder.body.state_dict()
    found = _named_as(body, state)
    problem = misfit(body, found)
    if problem:
        raise WeightsUnavailable(
            f"--weights {weights}: does not fit encoder={encoder.name}, and nothing was loaded: {problem}"
        )
    encoder.body.load_state_dict(found | {name: value for name, value in body.items() if name not in found})
    return WeightsSource("file", weights, digest)


def load_imagenet(encoder: Loadable) -> WeightsSource:
    """Load an encoder's ImageNet weights: from an installed package, from what was fetched before, or from the hub.

    The package comes first, so that a machine with a network and one without start from the same numbers.

    Returns:
        Where they come from.

    Raises:
        WeightsUnavailable: there are none, or the hub cannot be reached; the message says why.
    """
    name = encoder.name.removeprefix(FROM_TIMM)
    if packaged_file(name) is not None:
        packaged = load_packaged(name, create_timm(name, size=PACKAGED_SIZE).state_dict()) or {}
        body = encoder.body.state_dict()
        found = _named_as(body, packaged)
        if problem := misfit(body, found):
            raise WeightsUnavailable(f"the installed weights of {encoder.name} do not fit: {problem}")
        encoder.body.load_state_dict(body | found)
        return package_source(name)
    pretrained = fetch_pretrained(encoder.pretrained_body, encoder.name)
    encoder.body.load_state_dict(pretrained.state_dict())
    return WeightsSource("hub", _hub_name(encoder))


def _hub_name(encoder: Loadable) -> str:
    """Name what timm fetches: with the tag of its weights, of which there are several for one architecture."""
    known = getattr(encoder.body, "pretrained_cfg", None) or {}
    return str(known.get("hf_hub_id") or known.get("url") or encoder.name)


def misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say what keeps tensors from being loaded whole: how many lack or have another shape, and the first three names.

    Returns:
        Nothing where every wanted tensor is there.
    """
    wanted = {name: value for name, value in wanted.items() if not name.endswith(OPTIONAL)}
    missing = [name for name in wanted if name not in found]
    other = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    kinds = [
        f"{name} {found[name].dtype} instead of {value.dtype}"
        for name, value in wanted.items()
        if name in found and found[name].is_floating_point() != value.is_floating_point()
    ]
    parts = []
    if missing:
        parts.append(f"{len(missing)} of the {len(wanted)} tensors are missing ({_first(missing)})")
    if other:
        parts.append(f"{len(other)} of the {len(wanted)} tensors have another shape ({_first(other)})")
    if kinds:
        parts.append(f"{len(kinds)} of the {len(wanted)} tensors are of another type ({_first(kinds)})")
    return "; ".join(parts)


def _first(names: Iterable[str], count: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:count]) + (", ..." if len(listed) > count else "")


def _named_as(body: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a file's tensors the names that they have in the encoder; what the encoder does not have is left out."""
    by_plain = {_plain(name): name for name in body}
    best: dict[str, Tensor] = {}
    most = -1
    for prefix in PREFIXES:
        found = {
            by_plain[plain]: value
            for name, value in state.items()
            if name.startswith(prefix) and (plain := _plain(name.removeprefix(prefix))) in by_plain
        }
        # Names alone may fit under a wrong prefix, so shapes count too.
        fitting = sum(body[name].shape == value.shape for name, value in found.items())
        if fitting > most:
            best, most = found, fitting
    return best


def _plain(name: str) -> str:
    """Name a tensor as timm's whole models do, where its feature encoders wrap or flatten them."""
    return re.sub(r"^([a-z]+)_(\d+)\.", r"\1.\2.", name.removeprefix("model."))
