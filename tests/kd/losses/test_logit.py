"""The losses against closed forms in float64 that share no code with them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kd.losses.logit import ce, kd


def logits(seed: int, batch: int = 5, classes: int = 7) -> Tensor:
    return 3 * torch.randn(batch, classes, generator=torch.Generator().manual_seed(seed))


def softmax(row: list[float], temperature: float = 1.0) -> list[float]:
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_ce_is_the_closed_form(smoothing: float) -> None:
    z, labels = logits(0), torch.tensor([0, 6, 3, 3, 1])
    expected = 0.0
    for row, label in zip(z.tolist(), labels.tolist(), strict=True):
        for index, probability in enumerate(softmax(row)):
            target = smoothing / 7 + (1 - smoothing if index == label else 0.0)
            expected -= target * math.log(probability) / 5
    assert ce(z, labels, label_smoothing=smoothing).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 10.0])
def test_kd_sums_over_classes_averages_over_samples_and_scales_by_the_squared_temperature(
    temperature: float,
) -> None:
    student, teacher = logits(1), logits(2)
    expected = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        for q, p in zip(softmax(s, temperature), softmax(t, temperature), strict=True):
            expected += p * math.log(p / q) * temperature**2 / 5
    assert kd(student, teacher, temperature=temperature).item() == pytest.approx(expected, rel=1e-5)


def test_kd_of_equal_logits_is_zero_with_zero_gradient() -> None:
    student = logits(3).requires_grad_()
    loss = kd(student, student.detach().clone())
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-6)
    torch.testing.assert_close(student.grad, torch.zeros(5, 7), atol=1e-6, rtol=0)


def test_kd_does_not_depend_on_the_batch_size_or_on_a_shift_of_the_logits() -> None:
    student, teacher = logits(4), logits(5)
    once = kd(student, teacher)
    torch.testing.assert_close(kd(student.repeat(3, 1), teacher.repeat(3, 1)), once)
    torch.testing.assert_close(kd(student + 11.0, teacher - 5.0), once, rtol=1e-4, atol=1e-6)


def test_the_gradient_of_kd_approaches_that_of_matching_logits_as_the_temperature_rises() -> None:
    """Hinton et al. 2015, equation 4: for zero-mean logits and T large, the gradient is (s - t) / C per sample."""
    student, teacher = logits(6).double(), logits(7).double()
    student, teacher = student - student.mean(1, keepdim=True), teacher - teacher.mean(1, keepdim=True)
    student.requires_grad_()
    kd(student, teacher, temperature=1000.0).backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 7 / 5, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_are_float32_and_finite_for_extreme_half_precision_logits(dtype: torch.dtype) -> None:
    student = torch.tensor([[600.0, -600.0, 0.0]], dtype=dtype, requires_grad=True)
    teacher = -student.detach()
    loss = kd(student, teacher, temperature=1.0) + ce(student, torch.tensor([1]))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert student.grad.isfinite().all()
