"""Precision, and directions of vectors that may be zero."""

from __future__ import annotations

import pytest
import torch

from kd.losses.numerics import full, target, unit
from kd.losses.warmup import ramp, ramp_from_zero


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_losses_compute_in_float32_or_better(given: torch.dtype, expected: torch.dtype) -> None:
    values = torch.ones(2, dtype=given, requires_grad=True)
    assert full(values).dtype == target(values).dtype == expected
    assert full(values).requires_grad
    assert not target(values).requires_grad


def test_a_zero_vector_has_no_direction_and_no_gradient() -> None:
    values = torch.tensor([[3.0, 4.0], [0.0, 0.0]], requires_grad=True)
    unit(values, dim=1)[:, 0].sum().backward()
    torch.testing.assert_close(unit(values, dim=1).detach(), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    torch.testing.assert_close(values.grad, torch.tensor([[0.128, -0.096], [0.0, 0.0]]))


def test_a_warm_up_grows_evenly_to_full_size_and_none_is_full_size_at_once() -> None:
    assert [ramp(epoch, 4) for epoch in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert ramp(0, 0) == ramp(0, 1) == 1


def test_a_warmup_from_zero_begins_with_nothing() -> None:
    assert [ramp_from_zero(epoch, 4) for epoch in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert ramp_from_zero(0, 0) == 1
