"""The losses against closed forms in float64 that share no code with them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kd.losses.logit import ce, dkd, kd, kd_standardised, nkd


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


def test_dkd_of_two_classes_is_its_first_part_alone() -> None:
    student, teacher, labels = logits(8, classes=2), logits(9, classes=2), torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(dkd(student, teacher, labels, 0, beta=8.0), dkd(student, teacher, labels, 0, beta=0.0))
    torch.testing.assert_close(dkd(student, teacher, labels, 0), kd(student, teacher))


def test_dkd_with_the_weight_of_its_own_rest_is_kd() -> None:
    """Zhao et al. 2022, equation 7: KD = TCKD + (1 - p_target of the teacher) NCKD, sample by sample."""
    student, teacher, labels = logits(10, batch=1), logits(11, batch=1), torch.tensor([3])
    rest = 1 - softmax(teacher[0].tolist(), 4.0)[3]
    torch.testing.assert_close(dkd(student, teacher, labels, 0, beta=rest), kd(student, teacher), rtol=1e-4, atol=1e-5)


def test_standardised_logits_forget_scale_and_shift() -> None:
    student, teacher = logits(12), logits(13)
    once = kd_standardised(student, teacher)
    torch.testing.assert_close(kd_standardised(5 * student + 2, 0.1 * teacher - 1), once, rtol=1e-4, atol=1e-6)


def test_the_sharpest_standardised_target_of_ten_classes_is_what_the_docstring_says() -> None:
    sharpest = torch.zeros(1, 10)
    sharpest[0, 4] = 1e4
    standardised = (sharpest - sharpest.mean()) / sharpest.std()
    assert (standardised / 2).softmax(1).max().item() == pytest.approx(0.35, abs=0.005)
    flat = torch.zeros(1, 10)
    expected = 4 * (math.log(10) + sum(p * math.log(p) for p in softmax(standardised[0].tolist(), 2.0)))
    assert kd_standardised(flat, sharpest, temperature=2.0).item() == pytest.approx(expected, rel=1e-5)


def test_nkd_is_smallest_where_the_other_classes_agree_and_the_true_one_is_certain() -> None:
    teacher, labels = logits(14), torch.tensor([0, 6, 3, 3, 1])

    def others(student: Tensor) -> float:
        return (nkd(student, teacher, labels, gamma=1.0) - nkd(student, teacher, labels, gamma=0.0)).item()

    for seed in range(5):
        assert others(teacher + 0.1 * logits(20 + seed)) > others(teacher)
    certain = teacher.scatter(1, labels[:, None], 40.0)
    assert nkd(certain, teacher, labels, gamma=0.0).item() == pytest.approx(0, abs=1e-6)
