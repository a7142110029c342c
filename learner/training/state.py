"""All state of a training that changes while it runs: the networks, the optimizer, the rates.

Shape legend: B batch, K classes, S side of the square.
"""

import copy
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from learner.config import TrainConfig
from learner.distributed import Processes
from learner.network.forward import Normalizer
from learner.network.interface import Network
from learner.network.shared_norm import share_batch_norm

WARM_UP_SHARE = 0.05


@dataclass(slots=True)
class Learner:
    """All state of a training that changes while it runs."""

    model: Network
    trained: nn.Module
    """The model as the losses call it: `Trainee`, compiled or with shared gradients where that is wanted."""
    teacher: Network | None
    """Running average of the model's weights; None where `ema_decay` is 0."""
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    device: torch.device
    processes: Processes
    steps: int = 0
    """Steps taken in the current stage."""
    total_steps: int = 1
    """Steps that the current stage will take."""
    steps_before: int = 0
    """Steps of the stages before it."""
    class_weight_K: Tensor | None = None
    """Weights of the classes in their loss; None: each image weighs the same."""
    normalize: Normalizer = field(init=False)

    def __post_init__(self) -> None:
        self.normalize = Normalizer(self.config, self.device)

    @property
    def kept(self) -> Network:
        """The weights that are validated and saved."""
        return self.model if self.teacher is None else self.teacher


def make_optimizer(model: Network, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimizer; a pretrained encoder learns at `encoder_lr_factor` times the rate."""
    factor = 1.0 if config.weights == "none" else config.encoder_lr_factor
    encoder = list(model.encoder.parameters())
    in_encoder = {id(parameter) for parameter in encoder}
    heads = [parameter for parameter in model.parameters() if id(parameter) not in in_encoder]
    groups: list[dict[str, Any]] = [
        {"params": encoder, "lr": config.lr * factor, "base_lr": config.lr * factor},
        {"params": heads, "lr": config.lr, "base_lr": config.lr},
    ]
    # One kernel for all weights, where there is one: on a CPU a tenth of a step.
    fused = encoder[0].device.type in ("cpu", "cuda")
    if config.optimizer == "adam":
        return _without_compiler(torch.optim.Adam)(groups, lr=config.lr, fused=fused)
    return _without_compiler(torch.optim.AdamW)(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def _without_compiler(kind: type[torch.optim.Adam]) -> type[torch.optim.Adam]:
    """Return the same optimizer without what makes it import torch's compiler, which takes longer than everything else.

    Its methods import the compiler to say that it is to leave them alone, whether anything is compiled or not. Here
    only the network ever is.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        method = getattr(getattr(kind, name), "__wrapped__", None)
        if method is not None:
            method.__dynamo_disable = method

    def step(self: torch.optim.Optimizer, closure: None = None) -> None:
        with torch.no_grad():
            inspect.unwrap(kind.step)(self, closure)

    return type(kind.__name__, (kind,), {"step": step})


class Trainee(nn.Module):
    """A network behind one call, so that compiling it and sharing its gradients see everything that is trained."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_B3SS: Tensor, classify: bool) -> tuple[Tensor, ...]:
        """Return the lesion logits, and where they are asked for the class logits and those of presence, if any."""
        if not classify:
            return (self.network.locate(image_B3SS),)
        output = self.network(image_B3SS)
        both = (output.mask_logits_B1HW, output.class_logits_BK)
        return both if output.presence_logits_B is None else (*both, output.presence_logits_B)


def make_learner(
    model: Network, config: TrainConfig, device: torch.device, processes: Processes | None = None
) -> Learner:
    """Put a model on its device, with its optimizer and, where wanted, its averaged copy."""
    processes = processes or Processes()
    model = model.to(device).to(memory_format=torch.channels_last)
    if processes.count > 1:
        model = share_batch_norm(model, device)
    trained: nn.Module = Trainee(model)
    if config.compile:
        trained = torch.compile(trained)  # type: ignore[assignment]
    # Wrapping gives all processes the first one's weights, so the copy is made after it.
    trained = processes.wrap(trained)
    teacher = copy.deepcopy(model).eval().requires_grad_(False) if config.ema_decay > 0 else None
    return Learner(model, trained, teacher, make_optimizer(model, config), config, device, processes)


def set_rates(learner: Learner) -> None:
    """Set the learning rates of the step that comes next."""
    if learner.config.schedule == "constant":
        return
    warm_up = max(1.0, WARM_UP_SHARE * learner.total_steps)
    done = learner.steps / max(1, learner.total_steps)
    factor = min(1.0, (learner.steps + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    for group in learner.optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


@torch.no_grad()
def update_teacher(learner: Learner) -> None:
    """Let the averaged weights follow."""
    if learner.teacher is None:
        return
    # Early on the average follows closely, as in mean teacher's ramp-up; a new stage is no new beginning.
    done = learner.steps_before + learner.steps
    decay = min(learner.config.ema_decay, (done + 1) / (done + 10))
    averaged, current = learner.teacher.state_dict(), learner.model.state_dict()
    numbers = [name for name, value in averaged.items() if value.dtype.is_floating_point]
    counts = sorted(averaged.keys() - set(numbers))
    # All weights in a few kernels: one each keeps a GPU waiting for the next longer than it works.
    torch._foreach_lerp_([averaged[name] for name in numbers], [current[name] for name in numbers], 1 - decay)
    if counts:
        torch._foreach_copy_([averaged[name] for name in counts], [current[name] for name in counts])


def learner_tensors(learner: Learner) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors that a training needs to go on: model, teacher, optimizer."""
    for name, value in learner.model.state_dict().items():
        yield f"model.{name}", value
    if learner.teacher is not None:
        for name, value in learner.teacher.state_dict().items():
            yield f"teacher.{name}", value
    for index, state in learner.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            yield f"optimizer.{index}.{name}", torch.as_tensor(value)


def restore_learner(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Put back what `learner_tensors` yielded."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "teacher": {}}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        part, name = key.split(".", 1)
        if part == "optimizer":
            index, field_name = name.split(".", 1)
            state.setdefault(int(index), {})[field_name] = value
        else:
            parts[part][name] = value
    learner.model.load_state_dict(parts["model"])
    if learner.teacher is not None:
        learner.teacher.load_state_dict(parts["teacher"])
    groups = learner.optimizer.state_dict()["param_groups"]
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    # The fused kernel walks through memory, so what belongs to a weight must lie there as the weight does.
    for parameter, values in learner.optimizer.state.items():
        for name, value in values.items():
            if value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter).copy_(value)
