"""Batch norm whose statistics are those of the whole batch, however many processes share it.

torch's SyncBatchNorm is for GPUs alone, and waits for them in every layer to see whether a process has no images. Here
all have equally many, so nothing waits. State dictionaries keep their names, so that weights of one process and of
several are the same files.
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
    return SharedBatchNorm.of(plain)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm (arXiv:1502.03167) over the processes' batches together: fused on GPUs, else in plain operations."""

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
        momentum = self._count_batch()
        if values.is_cuda:
            running = (self.running_mean, self.running_var)
            arguments = (values, self.weight, self.bias, running, momentum, self.eps)
            fused: Tensor = _FusedBatchNorm.apply(*arguments)  # type: ignore[no-untyped-call]
            return fused
        return self._plain_operations(values, momentum)

    def _plain_operations(self, values: Tensor, momentum: float) -> Tensor:
        exact = values.float()
        dimensions = [dimension for dimension in range(values.dim()) if dimension != 1]
        shape = [1, -1] + [1] * (values.dim() - 2)
        count = dist.get_world_size() * values.numel() // values.shape[1]
        mean: Tensor = _Sum.apply(exact.sum(dimensions)) / count  # type: ignore[no-untyped-call]
        centred = exact - mean.view(shape)
        variance: Tensor = _Sum.apply(centred.square().sum(dimensions)) / count  # type: ignore[no-untyped-call]
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1), momentum)
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(values.dtype)

    def _count_batch(self) -> float:
        """Count a batch; return how far the running statistics move towards its own."""
        if not self.track_running_stats:
            return 0.0
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, momentum: float) -> None:
        """Move the running statistics towards those of a batch."""
        if not self.track_running_stats:
            return
        assert self.running_mean is not None
        assert self.running_var is not None
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


class _FusedBatchNorm(torch.autograd.Function):
    """Batch norm over the processes on GPUs, by torch's fused operations: one exchange forward, one backward."""

    @staticmethod
    def forward(
        context: Any,
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        momentum: float,
        eps: float,
    ) -> Tensor:
        if not values.is_contiguous(memory_format=torch.channels_last):
            values = values.contiguous()
        own = torch.cat(torch.batch_norm_stats(values, eps))
        each = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(each, own)
        means, inverse_deviations = torch.stack(each).chunk(2, dim=1)
        counts = torch.full((len(each),), values.numel() // values.shape[1], dtype=own.dtype, device=own.device)
        mean, inverse_deviation = torch.batch_norm_gather_stats_with_counts(
            values, means, inverse_deviations, *running, momentum, eps, counts
        )
        context.save_for_backward(values, weight, mean, inverse_deviation, counts.int())
        return torch.batch_norm_elemt(values, weight, bias, mean, inverse_deviation, eps)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean, inverse_deviation, counts = context.saved_tensors
        layout = torch.channels_last if values.is_contiguous(memory_format=torch.channels_last) else None
        gradient = gradients[0].contiguous(memory_format=layout or torch.contiguous_format)
        affine = weight is not None
        sums, products, to_weight, to_bias = torch.batch_norm_backward_reduce(
            gradient, values, mean, inverse_deviation, weight, True, affine, affine
        )
        both = torch.cat([sums, products])
        dist.all_reduce(both)
        sums, products = both.chunk(2)
        to_values = torch.batch_norm_backward_elemt(
            gradient, values, mean, inverse_deviation, weight, sums, products, counts
        )
        return to_values, to_weight, to_bias, None, None, None


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
