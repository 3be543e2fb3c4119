"""Every loss of the catalogue: against an independent closed form, and what holds for losses of its kind."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kd import catalog
from kd.losses.builders import BUILDERS
from kd.losses.inputs import COUNTS, DATA, INPUTS
from tests.kd.losses import closed_forms

# the arguments each loss is tried with: the defaults, and something else
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "ce": [{}, {"label_smoothing": 0.1}],
    "kd": [{}, {"temperature": 1.0}, {"standardise": True}],
    "dkd": [{}, {"temperature": 1.0, "alpha": 0.5, "beta": 2.0, "warmup": 20}, {"standardise": True}],
    "dist": [{}, {"temperature": 1.0, "beta": 2.0, "gamma": 0.5}, {"standardise": True}],
    "kd_standardised": [{}, {"temperature": 0.5}],
    "nkd": [{}, {"temperature": 3.0, "gamma": 0.7}, {"standardise": True, "temperature": 2.0}],
    "ctkd": [{}, {"least": 2.0, "span": 5.0}, {"standardise": True}],
    "normkd": [{}, {"temperature": 0.75}],
    "wttm": [{}, {"temperature": 2.5}, {"weighted": False}],
    "hard_kd": [{}],
    "ofa": [{}, {"temperature": 2.0, "epsilon": 1.5}],
    "wsld": [{}, {"temperature": 4.0}],
    "mlkd": [{}, {"temperatures": [1.5], "images": 0.5, "batch": 2.0, "classes": 3.0}, {"standardise": True}],
    "fitnet": [{}, {"stages": [3]}, {"stages": [1, 2]}, {"distance": "cosine"}],
    "at": [{}, {"stages": [2]}],
    "vid": [{}, {"stages": [1, 3]}],
    "review": [{}, {"stages": [1, 3], "warmup": 8}],
    "crd": [{"negatives": 30}, {"negatives": 4, "temperature": 0.5}],
    "sp": [{}, {"stages": [1, 2]}],
    "rkd": [{}, {"distance": 3.0, "angle": 0.5}],
    "pkt": [{}],
    "ofd": [{}, {"stages": [1, 3]}],
    "ab": [{}, {"stages": [2], "margin": 2.0}],
    "mgd": [{}, {"stages": [1, 2], "blanked": 0.4}],
    "ickd": [{}, {"stages": [1, 2]}],
    "nst": [{}, {"stages": [3]}],
    "fsp": [{}, {"stages": [1, 3]}],
    "srd": [{}],
    "cc": [{}, {"width": 5}],
    "ft": [{}, {"reconstruction": 0.1}],
    "semckd": [{}, {"softness": 0.2}],
    "tfkd": [{}, {"temperature": 1.0, "correct": 0.8}],
    "bce": [{}],
    "balanced_ce": [{}, {"beta": 0.9, "label_smoothing": 0.1}, {"beta": 0.0}],
    "balanced_bce": [{}, {"beta": 0.9}],
    "binary_kd": [{}, {"temperature": 1.0}],
}
LOSSES = sorted(VARIANTS)
CASES = [pytest.param(name, arguments, id=f"{name}{arguments}") for name in LOSSES for arguments in VARIANTS[name]]
# losses that compare each sample's output with the teacher's, and are 0 where the two are equal
GAPS = ["at", "binary_kd", "ctkd", "dkd", "kd", "kd_standardised", "fsp", "mlkd", "normkd", "nst", "pkt", "rkd", "sp"]
# losses that are a mean over samples, each by itself
PER_SAMPLE = [
    "at", "balanced_bce", "balanced_ce", "bce", "binary_kd", "ce", "ctkd", "dkd", "hard_kd", "kd", "kd_standardised",
    "nkd", "normkd", "ofa", "tfkd", "vid", "wsld", "wttm",
]  # fmt: skip
ON_LOGITS = [
    "balanced_bce", "balanced_ce", "bce", "binary_kd", "ce", "ctkd", "dist", "dkd", "hard_kd", "kd", "kd_standardised",
    "mlkd", "nkd", "normkd", "ofa", "tfkd", "wsld", "wttm",
]  # fmt: skip


def arrays(given: dict[str, Any]) -> dict[str, Any]:
    def array(value: Any) -> Any:
        if isinstance(value, list):
            return [array(each) for each in value]
        if isinstance(value, tuple):
            return tuple(array(each) for each in value)
        return value.detach().double().numpy() if isinstance(value, Tensor) and value.is_floating_point() else value

    return {name: np.asarray(value) if isinstance(value, Tensor) and not value.is_floating_point() else array(value)
            for name, value in given.items()}  # fmt: skip


def copy_student_to_teacher(given: dict[str, Any]) -> dict[str, Any]:
    def copied(value: Any) -> Any:
        return [copied(each) for each in value] if isinstance(value, list) else value.detach().clone()

    names = [name.removeprefix("student") for name in given if name.startswith("student")]
    return given | {f"teacher{name}": copied(given[f"student{name}"]) for name in names}


def picked(given: dict[str, Any], order: Tensor) -> dict[str, Any]:
    """Return the same outputs for samples in another order, or several times."""

    def pick(name: str, value: Any) -> Any:
        if isinstance(value, list):
            return value if name in DATA else [each[order] for each in value]
        return value[order] if isinstance(value, Tensor) and name not in ("labels_N", *COUNTS) else value

    return {name: pick(name, value) for name, value in given.items()}


def gradients(loss: Any, given: dict[str, Any]) -> list[Tensor]:
    """Return the gradients of the student's tensors that the loss looks at."""
    found = torch.autograd.grad(loss(given), loss.students(given), allow_unused=True)
    assert any(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


def test_every_loss_of_the_catalogue_is_tried_here_and_asks_only_for_the_vocabulary() -> None:
    entries = catalog.entries("loss")
    assert set(VARIANTS) == set(entries)
    for entry in entries.values():
        assert set(entry.inputs) <= set(INPUTS)
        assert ("adapter" in entry.inputs) == (entry.name in BUILDERS)
        assert re.search("arXiv:|CVPR", entry.summary) or entry.name in ("ce", "bce")
    assert not set(DATA) & set(INPUTS)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_loss_equals_its_closed_form(make_loss, given, name: str, arguments: dict) -> None:
    it = given()
    loss = make_loss(name, it, **arguments)
    weights = {key: value.numpy() for key, value in loss.adapter.state_dict().items()} if loss.adapter else {}
    if name == "crd":
        it = it | {"drawn": loss.drawn[it["indices_B"]]}
    expected = getattr(closed_forms, name)(arrays(it), weights, **arguments)
    value = loss(it)
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert expected != 0


# weights of its images are constants, by the authors' definition: see test_targets
@pytest.mark.parametrize(("name", "arguments"), [case for case in CASES if case.values[0] != "wsld"])
def test_autograd_differentiates_a_loss_correctly(make_loss, given, name: str, arguments: dict) -> None:
    it = given(batch=4)
    loss = make_loss(name, it, **arguments)
    loss(it, loss.adapter)  # what a loss fixes at its first batch is a constant from then on

    def function(*tensors: Tensor) -> Tensor:
        values = iter(tensors)
        swapped = {
            key: [next(values) for _ in it[key]] if isinstance(it[key], list) else next(values)
            for key in loss.inputs
            if key.startswith("student")
        }
        return loss(it | swapped)

    assert torch.autograd.gradcheck(function, loss.students(it), fast_mode=True)


@pytest.mark.parametrize("name", GAPS)
def test_a_loss_is_zero_where_student_and_teacher_agree_and_positive_elsewhere(make_loss, given, name: str) -> None:
    it = given()
    same = copy_student_to_teacher(it)
    loss = make_loss(name, same)
    assert loss(same).item() == pytest.approx(0, abs=1e-9)
    for gradient in gradients(loss, same):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-8, rtol=0)
    for seed in range(5):
        assert loss(given(seed)).item() > 1e-6


@pytest.mark.parametrize(("name", "arguments"), [case for case in CASES if case.values[0] not in ("cc", "semckd")])
def test_the_order_of_the_batch_does_not_matter(make_loss, given, name: str, arguments: dict) -> None:
    it = given()
    loss = make_loss(name, it, **arguments)
    torch.testing.assert_close(loss(picked(it, torch.tensor([3, 1, 4, 0, 2]))), loss(it), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PER_SAMPLE)
def test_a_loss_is_a_mean_over_samples(make_loss, given, name: str) -> None:
    it = given()
    loss = make_loss(name, it)
    torch.testing.assert_close(loss(picked(it, torch.arange(5).repeat(3))), loss(it))
    halves = [loss(picked(it, half)) for half in (torch.arange(2), torch.arange(2, 4))]
    torch.testing.assert_close(torch.stack(halves).mean(), loss(picked(it, torch.arange(4))))


@pytest.mark.parametrize("name", ON_LOGITS)
def test_the_names_of_the_classes_do_not_matter(make_loss, given, name: str) -> None:
    it = given()
    order = torch.tensor([6, 2, 0, 1, 5, 3, 4])
    renamed = (
        it
        | {
            "student_logits_BC": it["student_logits_BC"][:, order],
            "teacher_logits_BC": it["teacher_logits_BC"][:, order],
            "labels_B": torch.argsort(order)[it["labels_B"]],
        }
        | {name: it[name][:, order] for name in ("student_logits_BK", "teacher_logits_BK", "labels_BK")}
        | {name: it[name][order] for name in COUNTS}
    )
    loss = make_loss(name, it)
    torch.testing.assert_close(loss(renamed), loss(it))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("kd", {}), ("binary_kd", {}), ("dkd", {}), ("kd_standardised", {}), ("nkd", {"gamma": 1e6})],
)
def test_the_squared_temperature_keeps_the_size_of_the_gradient(make_loss, given, name: str, arguments: dict) -> None:
    it = given()
    cool, hot = (
        gradients(make_loss(name, it, temperature=temperature, **arguments), it)[0].norm() for temperature in (20, 80)
    )
    assert (hot / cool).item() == pytest.approx(1, abs=0.15)  # 1/16 without the factor


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_bfloat16_outputs_give_finite_losses_and_gradients(make_loss, given, name, batch, classes) -> None:
    it = given(batch=batch, classes=classes, scale=1e4, dtype=torch.bfloat16)
    gap = it["student_logits_BC"].detach().amax(1) - it["student_logits_BC"].detach().amin(1)
    assert gap.max() > 5e3
    loss = make_loss(name, it)
    if loss.adapter is not None:
        loss.adapter.float()
    value = loss(it)
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss, it))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_outputs_that_do_not_vary_give_finite_losses_and_gradients(make_loss, given, name: str, value: float) -> None:
    """A network whose features died, or one at its very start."""
    it = given(dtype=torch.float32)
    dead = {
        key: [torch.full_like(each, value).requires_grad_() for each in it[key]]
        if isinstance(it[key], list)
        else torch.full_like(it[key], value).requires_grad_()
        for key in it
        if key.startswith("student")
    }
    loss = make_loss(name, it)
    assert loss(it | dead).isfinite()
    for gradient in gradients(loss, it | dead):
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 1e5


@pytest.mark.parametrize("name", LOSSES)
def test_the_student_learns_and_the_teacher_does_not(make_loss, given, name: str) -> None:
    it = given()
    loss = make_loss(name, it)
    for tensor in loss.teachers(it):
        tensor.requires_grad_()
    loss(it).backward()
    assert any(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in loss.students(it))
    assert all(tensor.grad is None for tensor in loss.teachers(it))


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_all_parameters_of_an_adapter_learn(make_loss, given, name: str) -> None:
    it = given(batch=8)  # of fewer images the embeddings of semckd have one number, whose length is always 1
    loss = make_loss(name, it)
    loss(it, loss.adapter).backward()
    for key, parameter in loss.adapter.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().max() > 0, key
