"""Batch norm whose statistics are those of the whole batch, however many processes share it.

On a GPU that is torch's SyncBatchNorm; it has none for a CPU, hence ``SharedBatchNorm``. State dictionaries keep their
names, so that weights of one process and of several are the same files.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kd.errors import SpecError

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d)


def share_batch_norm(model: nn.Module) -> nn.Module:
    """Replace every batch norm inside a model on its device; parameters and buffers stay the same tensors.

    Raises SpecError on a kind of batch norm that is not known here: its statistics would differ between processes.
    """
    for name, child in model.named_children():
        if type(child) in _PLAIN:
            model.add_module(name, _shared(child))
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            raise SpecError([f"resources.gpus: {type(child).__name__} cannot be trained by several processes; use 1"])
        else:
            share_batch_norm(child)
    return model


def _shared(plain: nn.Module) -> nn.Module:
    assert isinstance(plain, nn.modules.batchnorm._BatchNorm)
    if plain.weight is not None and plain.weight.is_cuda:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(plain)  # type: ignore[no-untyped-call]
        return converted
    return SharedBatchNorm.of(plain)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm (arXiv:1502.03167) over the processes' batches together, in plain operations, any device."""

    @classmethod
    def of(cls, plain: nn.modules.batchnorm._BatchNorm) -> SharedBatchNorm:
        """Return the shared form of a batch norm, on the same parameters and buffers."""
        shared = cls(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
        shared._parameters, shared._buffers = plain._parameters, plain._buffers
        return shared

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of dimensions."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise [B, C, ...] by the mean and variance of each channel."""
        if not self.training:
            return super().forward(values)
        exact = values.float()
        dimensions = [dimension for dimension in range(values.dim()) if dimension != 1]
        shape = [1, -1] + [1] * (values.dim() - 2)
        count = dist.get_world_size() * values.numel() // values.shape[1]
        mean: Tensor = _Sum.apply(exact.sum(dimensions)) / count  # type: ignore[no-untyped-call]
        centred = exact - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(dimensions)) / count  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(values.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics towards those of a batch."""
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _Sum(torch.autograd.Function):
    """The sum over the processes; so is its gradient, since each process's loss depends on it."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total
