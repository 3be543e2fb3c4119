"""Several teachers: what a loss reads of each is transformed first and mixed then, so none counts for being louder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kd import catalog
from kd.losses.binary import binary_kd
from kd.losses.inputs import TEACHER_LOGITS
from kd.losses.logit import kd, kd_standardised, nkd
from kd.losses.mixture import Mixture, taught, taught_labels
from kd.losses.softening import standardised
from tests.kd.losses.closed_forms import divergence, softmax, yes

B, M, C = 6, 3, 5
LOUDNESS = torch.tensor([1.0, 8.0, 0.2])[:, None]  # the second teacher's logits are eight times as large
LABELS = torch.arange(B) % C
OF_SEVERAL = sorted(
    name for name, entry in catalog.entries("loss").items() if not TEACHER_LOGITS.isdisjoint(entry.inputs)
)


def made() -> tuple[Tensor, Mixture]:
    draw = torch.Generator().manual_seed(3)
    student = torch.randn(B, C, generator=draw, dtype=torch.float64) * 2
    logits = torch.randn(B, M, C, generator=draw, dtype=torch.float64) * LOUDNESS
    return student, Mixture(logits, torch.rand(B, M, generator=draw, dtype=torch.float64).softmax(1))


def mixed(mixture: Mixture, image: int, probabilities: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the weighted mean of what each teacher says of an image, in numpy."""
    rows, weights = mixture.logits_BMC[image].numpy(), mixture.weights_BM[image].numpy()
    return sum(weight * probabilities(row) for weight, row in zip(weights, rows, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_nkd_reads_the_mixture_at_one_for_the_true_class_and_at_its_temperature_for_the_others(temperature) -> None:
    student, mixture = made()
    total = 0.0
    for image, label in enumerate(LABELS.tolist()):
        row = student[image].numpy()
        total -= mixed(mixture, image, softmax)[label] * np.log(softmax(row)[label])
        softened = np.delete(mixed(mixture, image, lambda z: softmax(z, temperature)), label)
        log_q = np.log(softmax(np.delete(row, label), temperature))
        total -= 1.5 * temperature**2 * float((softened / softened.sum() * log_q).sum())
    assert nkd(student, mixture, LABELS, temperature=temperature).item() == pytest.approx(total / B, rel=1e-12)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_kd_standardised_standardises_each_teacher_before_it_mixes(temperature: float) -> None:
    def z(row: np.ndarray) -> np.ndarray:
        return (row - row.mean()) / row.std(ddof=1)

    student, mixture = made()
    rows = [
        divergence(
            mixed(mixture, image, lambda row: softmax(z(row), temperature)),
            softmax(z(student[image].numpy()), temperature),
        )
        for image in range(B)
    ]
    expected = temperature**2 * float(np.mean(rows))
    assert kd_standardised(student, mixture, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)
    louder = Mixture(mixture.logits_BMC * torch.tensor([1.0, 50.0, 1.0])[:, None], mixture.weights_BM)
    assert kd_standardised(student, louder, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kd_learns_the_mean_of_the_softened_probabilities(temperature: float) -> None:
    student, mixture = made()
    rows = [
        divergence(mixed(mixture, i, lambda z: softmax(z, temperature)), softmax(student[i].numpy(), temperature))
        for i in range(B)
    ]
    expected = temperature**2 * float(np.mean(rows))
    assert kd(student, mixture, temperature=temperature).item() == pytest.approx(expected, rel=1e-12)


def test_binary_kd_learns_the_mean_of_the_sigmoids() -> None:
    student, mixture = made()
    total = 0.0
    for image in range(B):
        for label in range(C):
            p = mixed(mixture, image, lambda z, label=label: np.array([yes(z[label], 3.0)]))[0]
            q = yes(float(student[image, label]), 3.0)
            total += divergence(np.array([p, 1 - p]), np.array([q, 1 - q]))
    assert binary_kd(student, mixture, temperature=3.0).item() == pytest.approx(9 * total / (B * C), rel=1e-12)


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_teachers_that_agree_teach_as_one_of_them_does(make_loss, given, name: str) -> None:
    it = given()
    loss = make_loss(name, it)
    (key,) = TEACHER_LOGITS.intersection(loss.inputs)
    weights = torch.tensor([[0.2, 0.8]], dtype=torch.float64).expand(len(it[key]), -1)
    several: dict[str, Any] = it | {key: Mixture(torch.stack([it[key]] * 2, dim=1), weights)}
    torch.testing.assert_close(loss(several), loss(it))


def test_the_mixture_is_finite_where_teachers_are_certain_or_do_not_count() -> None:
    logits = torch.tensor([[[1e4, 0.0], [0.0, 1e4]]])
    for weights in ([0.5, 0.5], [1.0, 0.0]):
        logits_BC = taught(Mixture(logits, torch.tensor([weights])), lambda z: z)
        assert logits_BC.isfinite().all()
        torch.testing.assert_close(logits_BC.softmax(1), torch.tensor([weights]))


def test_of_several_labels_the_sigmoids_are_mixed() -> None:
    _, mixture = made()
    logits_BK = taught_labels(mixture, lambda z: z / 3)
    expected = (torch.sigmoid(mixture.logits_BMC / 3) * mixture.weights_BM[:, :, None]).sum(1)
    torch.testing.assert_close(torch.sigmoid(logits_BK), expected)


def test_no_teacher_is_trained() -> None:
    logits = torch.randn(B, M, C, requires_grad=True)
    for mix in (taught, taught_labels):
        assert not mix(Mixture(logits, torch.full((B, M), 1 / M)), standardised).requires_grad
        assert not mix(logits[:, 0], standardised).requires_grad
