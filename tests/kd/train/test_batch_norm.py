"""Batch norm over several processes: what it replaces. What it computes, test_distributed compares with one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kd.errors import SpecError
from kd.train.batch_norm import SharedBatchNorm, _FusedBatchNorm, share_batch_norm
from kd.train.distributed import joined, open_store
from tests.kd.train import one_of_two


def test_shared_batch_norm_keeps_names_and_tensors() -> None:
    model = one_of_two.network()
    before = dict(model.state_dict(keep_vars=True))
    share_batch_norm(model)
    assert isinstance(model[1], SharedBatchNorm)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is value for name, value in before.items())


def test_an_unknown_kind_of_batch_norm_is_refused_and_other_norms_are_left_alone() -> None:
    with pytest.raises(SpecError, match="BatchNorm3d cannot be trained by several processes"):
        share_batch_norm(nn.Sequential(nn.BatchNorm3d(2)))
    share_batch_norm(nn.Sequential(nn.LayerNorm(2), nn.GroupNorm(1, 2)))


def over(values: Tensor) -> list[int]:
    return [dimension for dimension in range(values.dim()) if dimension != 1]


def per_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def stats(values: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return values.mean(over(values)), (values.var(over(values), correction=0) + eps).rsqrt()


def gathered(values: Tensor, means: Tensor, deviations: Tensor, running: Tensor, spread: Tensor, *rest: Any) -> Any:
    momentum, eps, counts = rest
    total = counts.sum()
    mean = (means * counts[:, None]).sum(0) / total
    each = deviations.pow(-2) - eps + (means - mean).square()
    variance = (each * counts[:, None]).sum(0) / total
    running.lerp_(mean, momentum)
    spread.lerp_(variance * total / (total - 1), momentum)
    return mean, (variance + eps).rsqrt()


def applied(values: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, deviation: Tensor, eps: float) -> Tensor:
    return (values - per_channel(mean)) * per_channel(deviation * weight) + per_channel(bias)


def reduced(gradient: Tensor, values: Tensor, mean: Tensor, deviation: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    sums = gradient.sum(over(values))
    products = (gradient * (values - per_channel(mean))).sum(over(values))
    return sums, products, products * deviation, sums


def spread_back(
    gradient: Tensor, values: Tensor, mean: Tensor, deviation: Tensor, weight: Tensor, *rest: Any
) -> Tensor:
    sums, products, counts = rest
    common = sums / counts.sum()
    slope = deviation.square() * products / counts.sum()
    centred = gradient - per_channel(common) - (values - per_channel(mean)) * per_channel(slope)
    return centred * per_channel(deviation * weight)


@pytest.fixture
def kernels_of_a_gpu() -> Iterator[None]:
    """What torch computes on GPUs alone, written out on the CPU."""
    library = torch.library.Library("aten", "IMPL", "CPU")
    for name, function in {
        "batch_norm_stats": stats,
        "batch_norm_gather_stats_with_counts": gathered,
        "batch_norm_elemt": applied,
        "batch_norm_backward_reduce": reduced,
        "batch_norm_backward_elemt": spread_back,
    }.items():
        library.impl(name, function)
    yield
    library._destroy()


@pytest.mark.usefixtures("kernels_of_a_gpu")
def test_the_form_for_gpus_computes_batch_norm() -> None:
    torch.manual_seed(0)
    plain, ours = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    values = torch.randn(4, 3, 5, 5)
    upstream = torch.randn(4, 3, 5, 5)
    inputs = [values.clone().requires_grad_() for _ in range(2)]
    expected = plain(inputs[0])
    expected.backward(upstream)
    with joined(open_store(), rank=0, count=1):
        running = (ours.running_mean, ours.running_var)
        found = _FusedBatchNorm.apply(inputs[1], ours.weight, ours.bias, running, 0.1, ours.eps)
        found.backward(upstream)
    for one, other in (
        (found, expected),
        (inputs[1].grad, inputs[0].grad),
        (ours.weight.grad, plain.weight.grad),
        (ours.bias.grad, plain.bias.grad),
        (ours.running_mean, plain.running_mean),
        (ours.running_var, plain.running_var),
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
