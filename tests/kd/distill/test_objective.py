"""The weighted sum of named terms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kd.distill.ensemble import Ensemble
from kd.distill.objective import Term, WeightedTerms, make_term
from kd.distill.teacher import LiveTeacher
from kd.distill.weighting import uniform
from kd.errors import SpecError
from kd.losses.logit import ce, kd
from kd.models.resnet import resnet8
from kd.train.step import Batch
from kd.train.weights import ModelCard


def batch(size: int = 4) -> Batch:
    images = torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return Batch(images=images, labels=torch.arange(size), indices=torch.arange(size), view=0)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))


def tapped(student: nn.Module, teacher: nn.Module, terms: list[Term]) -> WeightedTerms:
    """An objective with a live teacher whose features are there to be asked for."""
    live = LiveTeacher(teacher, own=CARD, student=CARD, features=True)
    return WeightedTerms(terms, student=student, teacher=live, example=batch(), labels_N=torch.arange(8) % 5)


CARD = ModelCard(
    name="resnet8", arguments={}, classes=tuple("abcde"), in_channels=3, image_size=8, mean=(0.5,) * 3, std=(1,) * 3
)
TEACHER_LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))


def test_the_total_is_the_weighted_sum_and_the_parts_are_named_and_not_weighted() -> None:
    model, it = network(), batch()
    terms = [make_term("ce", 0.5, {"label_smoothing": 0.1}), make_term("kd", 2.0, {"temperature": 3.0})]
    objective = WeightedTerms(terms, student=model, teacher=lambda batch: {"teacher_logits_BC": TEACHER_LOGITS})
    losses = objective(model, it)
    logits = model(it.images)
    expected = [ce(logits, it.labels, label_smoothing=0.1), kd(logits, TEACHER_LOGITS, temperature=3.0)]
    assert objective.names == ("ce", "kd")
    torch.testing.assert_close(losses.parts, torch.stack(expected))
    torch.testing.assert_close(losses.total, 0.5 * expected[0] + 2.0 * expected[1])
    torch.testing.assert_close(losses.logits, logits)
    assert losses.total.requires_grad
    assert not losses.parts.requires_grad
    assert not losses.logits.requires_grad


def test_a_teacher_that_no_term_asks_for_is_never_run() -> None:
    def teacher(batch: Batch) -> dict[str, Tensor]:
        raise AssertionError("the teacher ran")

    model = network()
    losses = WeightedTerms([make_term("ce", 1.0)], student=model, teacher=teacher)(model, batch())
    assert losses.total.isfinite()


def test_features_reach_a_term_that_asks_for_them() -> None:
    def squares(student_maps: list[Tensor], student_pooled_BD: Tensor) -> Tensor:
        assert [tuple(maps.shape) for maps in student_maps] == [
            (4, 4, 8, 8),
            (4, 8, 4, 4),
            (4, 16, 2, 2),
            (4, 32, 1, 1),
        ]
        return student_pooled_BD.square().mean()

    model = resnet8(5, 3, 8, width=4)
    term = Term(name="squares", of="squares", weight=1.0, loss=squares, inputs=("student_maps", "student_pooled_BD"))
    objective = WeightedTerms([term], student=model)
    objective(model, batch()).total.backward()
    assert model.conv1.weight.grad.abs().sum() > 0
    assert model.fc.weight.grad is None


def test_adapters_are_built_by_a_dry_run_that_leaves_no_trace() -> None:
    student, teacher = resnet8(5, 3, 8, width=4), resnet8(5, 3, 8, width=6)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    objective = tapped(student, teacher, [make_term("fitnet", 1.0), make_term("vid", 1.0, {"stages": [1, 3]})])
    ((hint, _),) = objective.adapters["fitnet"]
    assert (hint.in_channels, hint.out_channels) == (8, 12)
    assert [len(scale) for scale in objective.adapters["vid"].scales] == [6, 24]
    assert all(torch.equal(student.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(module.training for module in student.modules())
    losses = objective(student, batch())
    losses.total.backward()
    assert losses.parts.shape == (2,)
    assert all(parameter.grad is not None for parameter in objective.adapters.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_terms_of_one_loss_that_each_ask_one_of_several_teachers_equal_terms_of_that_teacher_alone() -> None:
    student, first, second = (resnet8(5, 3, 8, width=width) for width in (4, 6, 8))
    alone = [
        tapped(student, teacher, [make_term("at", 1.0), make_term("kd", 1.0, {"temperature": temperature})])
        for teacher, temperature in ((first, 2.0), (second, 8.0))
    ]
    members = [LiveTeacher(teacher, own=CARD, student=CARD, features=True) for teacher in (first, second)]
    terms = [
        make_term("at", 1.0, teacher=0),
        make_term("kd_warm", 1.0, {"temperature": 2.0}, loss="kd", teacher=0),
        make_term("at_2", 1.0, loss="at", teacher=1),
        make_term("kd_hot", 1.0, {"temperature": 8.0}, loss="kd", teacher=1),
        make_term("kd", 1.0),
        make_term("hint", 1.0, loss="fitnet", teacher=1),
    ]
    both = WeightedTerms(terms, student=student, teacher=Ensemble(members, uniform(2, 5), apart=True), example=batch())
    ((hint, _),) = both.adapters["hint"]
    assert (hint.in_channels, hint.out_channels) == (8, 16)  # of the second teacher
    student.eval()  # the same statistics in each of the three passes
    parts = both(student, batch()).parts
    torch.testing.assert_close(parts[:4], torch.cat([objective(student, batch()).parts for objective in alone]))
    assert both.names == ("at", "kd_warm", "at_2", "kd_hot", "kd", "hint")
    assert parts[4] != parts[1]  # of the mixture of both


def test_losses_without_adapters_have_none() -> None:
    student, teacher = resnet8(5, 3, 8, width=4), resnet8(5, 3, 8, width=6)
    assert len(tapped(student, teacher, [make_term("at", 1.0), make_term("pkt", 1.0)]).adapters) == 0


def test_the_epoch_and_the_indices_reach_a_loss() -> None:
    def tell(indices_B: Tensor, epoch: int) -> Tensor:
        return 100 * indices_B.float().sum() + epoch

    model = network()
    objective = WeightedTerms(
        [Term(name="tell", of="tell", weight=1.0, loss=tell, inputs=("indices_B", "epoch"))], student=model
    )
    assert objective(model, replace(batch(), view=7)).parts.tolist() == [607]


def test_a_teacher_that_gives_no_features_is_refused() -> None:
    student = resnet8(5, 3, 8, width=4)
    objective = WeightedTerms(
        [make_term("at", 1.0)], student=student, teacher=lambda batch: {"teacher_logits_BC": TEACHER_LOGITS}
    )
    with pytest.raises(SpecError, match="asks for teacher_maps, and the teacher gives none"):
        objective(student, batch())


def test_losses_are_float32_under_a_bfloat16_network() -> None:
    model = network()
    objective = WeightedTerms(
        [make_term("ce", 1.0)], student=model, autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16)
    )
    losses = objective(model, batch())
    assert losses.total.dtype == losses.logits.dtype == torch.float32


def test_a_term_without_its_teacher_and_an_empty_loss_are_refused() -> None:
    with pytest.raises(SpecError, match="kd needs a teacher"):
        WeightedTerms([make_term("ce", 1.0), make_term("kd", 1.0)], student=network())
    with pytest.raises(SpecError, match="at least one term"):
        WeightedTerms([], student=network())


def test_losses_for_uneven_classes_are_given_the_counts_of_all_training_images() -> None:
    model, it = network(), batch()
    labels_N = torch.tensor([0] * 6 + [1] * 3 + [2, 3])  # class 4 has no image
    losses = WeightedTerms([make_term("balanced_ce", 1.0)], student=model, labels_N=labels_N)(model, it)
    each = nn.functional.cross_entropy(model(it.images), it.labels, reduction="none")
    weights = torch.tensor([11 / 24, 11 / 12, 11 / 4, 11 / 4])  # images / (classes there are * images of the class)
    torch.testing.assert_close(losses.total, (each * weights).mean())


def test_losses_for_rare_labels_are_given_both_answers_counts() -> None:
    model, it = network(), batch()
    labels_BK = torch.eye(4, 5, dtype=torch.uint8)
    labels_NK = torch.cat([labels_BK, labels_BK.new_zeros(6, 5)])
    term = make_term("balanced_bce", 1.0)
    losses = WeightedTerms([term], student=model, labels_N=labels_NK)(model, replace(it, labels=labels_BK))
    each = nn.functional.binary_cross_entropy_with_logits(model(it.images), labels_BK.float(), reduction="none")
    yes, no = 10 / (2 * 1), 10 / (2 * 9)
    weights = torch.where(labels_BK == 1, yes, no)
    weights[:, 4] = 1.0  # nobody has the fifth label: all its answers are no
    torch.testing.assert_close(losses.total, (each * weights).mean())
