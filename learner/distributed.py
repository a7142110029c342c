"""Processes that share one job, on one machine or several. The one place that knows Lightning Fabric.

Every process runs the same program. The first one decides and writes; work on images is dealt out, and what comes of
it is brought together again in the order of the images, so that nothing depends on how many processes there are.
"""

import itertools
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch
from torch import Tensor, nn

from learner.device import choose_device
from learner.errors import ConfigInvalid

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")


class Processes:
    """One process of a job; alone unless a Fabric says otherwise."""

    def __init__(self, fabric: "Fabric | None" = None) -> None:
        self._fabric = fabric
        self.number = fabric.global_rank if fabric is not None else 0
        """Of this process, from 0."""
        self.count = fabric.world_size if fabric is not None else 1
        """How many there are, on all machines."""

    @property
    def is_first(self) -> bool:
        """Say whether this process decides and writes."""
        return self.number == 0

    def device(self, wanted: str) -> torch.device:
        """Return where this process computes.

        Raises:
            ConfigInvalid: there is no such device on this machine.
        """
        return self._fabric.device if self._fabric is not None else choose_device(wanted)

    def first(self, work: Callable[[], T]) -> T:
        """Let the first process do something and tell the others what came of it.

        The others end, with success, where it fails: the first one says why.
        """
        if self._fabric is None:
            return work()
        outcome: tuple[bool, Any] = (False, None)
        try:
            if self.is_first:
                outcome = (True, work())
        finally:
            outcome = self._fabric.broadcast(outcome)
        if not outcome[0]:
            raise SystemExit(0)
        done: T = outcome[1]
        return done

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's share: every so many-th item."""
        return items[self.number :: self.count]

    def gather(self, mine: Iterable[tuple[int, T]]) -> list[T]:
        """Bring shares together again, in every process.

        Args:
            mine: what this process has, each with its position among all.
        """
        shares: list[list[tuple[int, T]]] = [list(mine)]
        if self._fabric is not None:
            shares = shares * self.count
            torch.distributed.all_gather_object(shares, shares[0])
        return [item for _, item in sorted(itertools.chain(*shares), key=lambda pair: pair[0])]

    def sum(self, value: Tensor) -> Tensor:
        """Add a tensor up over the processes; carries no gradient."""
        if self._fabric is None:
            return value
        total = value.detach().clone()
        torch.distributed.all_reduce(total)
        return total

    def wrap(self, module: nn.Module) -> nn.Module:
        """Let a module's gradients be averaged over the processes; all get the first one's weights."""
        return self._fabric.setup_module(module) if self._fabric is not None else module

    def backward(self, loss: Tensor, module: nn.Module, *, last: bool = True) -> None:
        """Add a loss's gradients, summed over the processes.

        Args:
            loss: this process's part of the sum.
            module: what `wrap` returned.
            last: more losses follow before the optimizer's step; gradients travel with the last one only.
        """
        if self._fabric is None:
            loss.backward()
            return
        # Gradients are averaged on their way, and a sum is wanted.
        with self.holding(module, last=last):
            self._fabric.backward(loss * self.count)

    def holding(self, module: nn.Module, *, last: bool) -> AbstractContextManager[object]:
        """Return a context in which gradients stay in this process, unless the last loss of a step is at work."""
        if self._fabric is None or last:
            return nullcontext()
        kept: AbstractContextManager[object] = self._fabric.no_backward_sync(module)  # type: ignore[arg-type]
        return kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._fabric is None:
            return
        if kind is None:
            self._fabric.barrier()
        else:
            # Who waits for a process that failed would wait long.
            launcher = self._fabric.strategy.launcher
            for helper in getattr(launcher, "procs", ()):
                helper.kill()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def start_processes(device: str = "auto", *, devices: int = 1, num_nodes: int = 1) -> Processes:
    """Start the other processes of this machine, or join those that torchrun or SLURM started.

    Args:
        device: `auto`, `cpu` or `cuda`; with several processes none in particular.
        devices: processes on each machine, one a GPU where there are GPUs.
        num_nodes: machines; each runs the same command, with MASTER_ADDR, MASTER_PORT and NODE_RANK set, or is
            started by torchrun or SLURM.

    Raises:
        ConfigInvalid: there are fewer devices than asked for, or a device is named that cannot be shared.
    """
    if devices < 1 or num_nodes < 1:
        raise ConfigInvalid(f"--devices and --num-nodes must be at least 1, got {devices} and {num_nodes}")
    if devices * num_nodes == 1:
        return Processes()
    kind = choose_device(device)
    if ":" in device or kind.type == "mps":
        raise ConfigInvalid(f"device={device} is a single device; for several processes use device=cuda or device=cpu")
    found = torch.cuda.device_count()
    if kind.type == "cuda" and found < devices:
        raise ConfigInvalid(f"--devices {devices}: this machine has {found} GPUs")
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    # It announces every process; who wants to know finds it in their log at level INFO.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # In stage 1 the classifier has no part in the loss.
    strategy = DDPStrategy(find_unused_parameters=True)
    try:
        fabric = Fabric(accelerator=kind.type, devices=devices, num_nodes=num_nodes, strategy=strategy)
        fabric.launch()
    except (ValueError, RuntimeError) as exc:
        raise ConfigInvalid(f"the processes cannot be started: {exc}") from exc
    return Processes(fabric)
