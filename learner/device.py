"""Chooses where to compute and in which precision."""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from learner.config import TrainConfig
from learner.errors import ConfigInvalid

# glibc's names for them, from its malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:N` or `mps` into a device; auto takes a GPU if there is one.

    From then on a process that computes on the CPU keeps the memory of freed tensors for the next ones.

    Raises:
        ConfigInvalid: there is no such device on this machine.
    """
    device = _named_device(name)
    if device.type == "cpu":
        _keep_freed_memory()
    return device


def _named_device(name: str) -> torch.device:
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


def _keep_freed_memory() -> None:
    """Have glibc reuse freed memory: it gives tensors above 32 MB back, and the system must clear each page anew."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for threshold in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
            libc.mallopt(threshold, 2**31 - 1)


def precision(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context that forward passes run in: bfloat16 where `amp` asks for it."""
    if config.amp == "on" or (config.amp == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
