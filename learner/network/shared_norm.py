"""Batch normalisation with the statistics of all processes, so that a batch means the same however it is split.

On GPUs this is torch's SyncBatchNorm, which does not run on CPUs; there it is the same formula in plain torch.

Shape legend: B batch, C channels, H W height and width.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from learner.timm_import import BatchNormAct2d, convert_sync_batchnorm


def share_batch_norm(network: nn.Module, device: torch.device) -> Any:
    """Make the batch normalisations of a network share their statistics; its parameters stay what they are.

    Returns:
        The network, ready for processes that have joined a group.
    """
    if device.type == "cuda":
        return convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) is BatchNormAct2d:
            module.__class__ = _SharedNormAct
        elif type(module) is nn.BatchNorm2d:
            module.__class__ = _SharedNorm
    return network


class _SharedNorm(nn.BatchNorm2d):
    """Ioffe and Szegedy 2015, with mean and variance over the images of all processes."""

    def forward(self, input_BCHW: Tensor) -> Tensor:
        """Normalise, float BCHW."""
        return _normalise(self, input_BCHW) if self.training else super().forward(input_BCHW)


class _SharedNormAct(BatchNormAct2d):  # type: ignore[misc]
    """timm's normalisation with an activation behind it, in the same way."""

    def forward(self, input_BCHW: Tensor) -> Tensor:
        """Normalise and activate, float BCHW."""
        if not self.training:
            return super().forward(input_BCHW)  # type: ignore[no-any-return]
        return self.act(self.drop(_normalise(self, input_BCHW)))  # type: ignore[no-any-return]


class _Sum(torch.autograd.Function):
    """Adds up over the processes; so does the gradient, since every process's loss depends on every share."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        """Sum a tensor over the processes."""
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        """Sum its gradient over the processes."""
        return _Sum.forward(ctx, gradient)


def _normalise(norm: nn.BatchNorm2d, input_BCHW: Tensor) -> Tensor:
    count = torch.tensor([input_BCHW.numel() / input_BCHW.shape[1]], dtype=input_BCHW.dtype)
    torch.distributed.all_reduce(count)
    # The mean first and then the squares around it: their difference would lose digits.
    mean_C: Tensor = _Sum.apply(input_BCHW.sum(dim=(0, 2, 3))) / count
    centred_BCHW = input_BCHW - mean_C[:, None, None]
    variance_C: Tensor = _Sum.apply(centred_BCHW.square().sum(dim=(0, 2, 3))) / count
    if norm.track_running_stats and norm.running_mean is not None and norm.running_var is not None:
        with torch.no_grad():
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
            share = norm.momentum if norm.momentum is not None else 0.1
            norm.running_mean.lerp_(mean_C, share)
            norm.running_var.lerp_(variance_C * count / (count - 1), share)
    scaled_BCHW: Tensor = centred_BCHW * torch.rsqrt(variance_C + norm.eps)[:, None, None]
    if norm.affine:
        scaled_BCHW = scaled_BCHW * norm.weight[:, None, None] + norm.bias[:, None, None]
    return scaled_BCHW
