"""The learned gate: finds the right one of two half-competent teachers, and is a pure function of data and seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from kd.distill.gate import Gate
from kd.distill.weighting import gate
from kd.losses.mixture import Mixture, taught

C, HALF = 6, 3


def half_competent_teachers(count: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return logits [N, 2, C] and labels [N]: teacher 0 knows the first classes, teacher 1 the others.

    Where a teacher knows nothing it takes the image, with some confidence, for one of the classes it knows.
    """
    chance = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, C, (count,), generator=chance)
    logits = torch.randn(count, 2, C, generator=chance)
    for teacher in (0, 1):
        own = (labels >= HALF).long() == teacher
        guess = torch.randint(0, HALF, (count,), generator=chance) + HALF * teacher
        believed = torch.where(own, labels, guess)
        sure = torch.where(own, 5.0, 2.0)
        logits[torch.arange(count), teacher, believed] += sure
    return logits, labels


@pytest.fixture(scope="module")
def fitted() -> Gate:
    made = gate(2, C)
    assert isinstance(made, Gate)
    made.fit(*half_competent_teachers(1000, seed=0), seed=1)
    return made


def test_it_prefers_the_right_expert_on_images_it_has_not_seen(fitted: Gate) -> None:
    logits, labels = half_competent_teachers(1000, seed=1)
    weights = fitted(logits, labels)
    expert = (labels >= HALF).long()
    assert weights[torch.arange(1000), expert].mean() > 0.85
    assert (weights.argmax(1) == expert).float().mean() > 0.9


def test_its_mixture_beats_the_mean_and_either_teacher(fitted: Gate) -> None:
    logits, labels = half_competent_teachers(1000, seed=1)

    def loss(weights: Tensor) -> float:
        return float(F.cross_entropy(taught(Mixture(logits, weights), lambda z: z), labels))

    ours = loss(fitted(logits, labels))
    others = [loss(torch.tensor(weights).expand(1000, 2)) for weights in ([0.5, 0.5], [1.0, 0.0], [0.0, 1.0])]
    assert ours < 0.7 * min(others)


def test_it_does_not_look_at_the_labels(fitted: Gate) -> None:
    logits, labels = half_competent_teachers(50, seed=2)
    assert torch.equal(fitted(logits, labels), fitted(logits, labels.flip(0)))


def test_fitting_is_a_function_of_data_and_seed_and_leaves_the_generator_alone() -> None:
    data = half_competent_teachers(300, seed=0)

    def fit(seed: int) -> tuple[Tensor, Tensor]:
        made = Gate(2, C, hidden=8, dropout=0.2, beta=0.01, epochs=2, lr=1e-2)
        before = torch.get_rng_state()
        made.fit(*data, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return made.scorer[0].weight.clone(), made.embeddings.clone()

    first = fit(1)
    torch.rand(3)
    assert all(map(torch.equal, first, fit(1)))
    assert not torch.equal(first[0], fit(2)[0])


def test_the_reward_of_entropy_spreads_the_weights() -> None:
    data = half_competent_teachers(500, seed=0)
    used = [
        Gate(2, C, hidden=16, dropout=0.0, beta=beta, epochs=20, lr=1e-2).fit(*data, seed=0).teachers_used
        for beta in (0.0, 10.0)
    ]
    assert 1 <= used[0] < used[1] <= 2.0001
    assert used[1] > 1.99


def test_the_summary_tells_the_losses(fitted: Gate) -> None:
    logits, labels = half_competent_teachers(400, seed=3)
    outcome = gate(2, C).fit(logits, labels, seed=0)
    uniform = taught(Mixture(logits, torch.full((400, 2), 0.5)), lambda z: z)
    assert outcome.uniform_loss == pytest.approx(float(F.cross_entropy(uniform, labels)), rel=1e-4)
    assert outcome.best_teacher_loss == pytest.approx(
        min(float(F.cross_entropy(logits[:, m], labels)) for m in (0, 1)), rel=1e-4
    )
    assert outcome.loss < outcome.uniform_loss < outcome.best_teacher_loss
