"""Chooses where to compute and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from learner.config import TrainConfig
from learner.errors import ConfigInvalid


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device; auto takes a GPU if there is one.

    Raises:
        ConfigInvalid: there is no such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise ConfigInvalid(f"device={name} cannot be used on this machine; try device=auto") from exc
    return device


def precision(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context that forward passes run in: bfloat16 where `amp` asks for it."""
    if config.amp == "on" or (config.amp == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
