"""Losses on features are refused for networks that give none, before anything is trained."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

import pytest
from torch import nn

from kd import catalog
from kd.jobfile.declared_taps import declares_taps, sets_taps
from kd.jobfile.kinds import distill
from kd.jobfile.schema import Component
from kd.jobfile.stage import Pipeline

FEATURES = ("loss: {ce: 0.5, kd: {weight: 0.5, temperature: 4}}", "loss: {ce: 1, at: {weight: 1000, stages: [1]}}")


def built(model: str) -> nn.Module:
    """Return a model of the catalogue in its smallest form."""
    arguments = catalog.entries("model")[model].arguments
    small = {"width": 4} if "width" in arguments else {}
    network = catalog.load("model", model)(3, 3, 32, **small)
    assert isinstance(network, nn.Module)
    return network


@pytest.mark.parametrize("model", ["convnet", "resnet8"])
def test_what_the_sources_say_is_what_the_networks_have(model: str) -> None:
    assert declares_taps(Component(name=model)) == hasattr(built(model), "feature_taps")
    assert declares_taps(Component(name=model))


def test_a_model_that_is_not_known_is_another_fault() -> None:
    assert declares_taps(Component(name="no_such_model"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A:\n    feature_taps = {}", True),
        ("class A:\n    feature_taps: dict = {}", True),
        ("def make(model):\n    model.feature_taps = {}", True),
        ("class A:\n    feature_taps: dict", False),
        ("print(model.feature_taps)", False),
        ("x = 'feature_taps'", False),
    ],
)
def test_a_declaration_is_a_value_given_to_the_attribute(source: str, expected: bool) -> None:
    assert sets_taps(ast.parse(source)) is expected


def test_networks_with_features_may_be_compared_by_them(load_text: Callable[..., Pipeline]) -> None:
    job = load_text("stages.student.loss={ce: 1, at: {weight: 1000, stages: [1]}}")
    assert set(job.stages["student"].loss) == {"ce", "at"}


@pytest.mark.parametrize("silent", ["convnet", "resnet8"])
def test_a_student_or_a_teacher_without_features_is_named(
    faults_of: Callable[..., Sequence[str]], monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    """The student is a convnet, its teacher a ResNet-8."""
    monkeypatch.setattr(distill, "declares_taps", lambda model, declaration: model.name != silent)
    lines = faults_of("stages.teacher.model=resnet8", replaced=FEATURES)
    (line,) = lines
    assert line.endswith(f": loss 'at' compares features, and model '{silent}' declares no feature_taps")
    assert line.startswith("job.yaml:19:19: ")


@pytest.mark.parametrize(
    ("silent", "asked"), [("resnet8", "preactivation_taps"), ("convnet", "feature_taps")], ids=["teacher", "student"]
)
def test_review_asks_for_the_teachers_maps_before_the_activation(
    faults_of: Callable[..., Sequence[str]], monkeypatch: pytest.MonkeyPatch, silent: str, asked: str
) -> None:
    monkeypatch.setattr(
        distill, "declares_taps", lambda model, declaration: (model.name, declaration) != (silent, asked)
    )
    review = (FEATURES[0], "loss: {ce: 1, review: 5}")
    (line,) = faults_of("stages.teacher.model=resnet8", replaced=review)
    assert line.endswith(f": loss 'review' compares features, and model '{silent}' declares no {asked}")


def test_losses_on_logits_need_no_features(load_text: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distill, "declares_taps", lambda model, declaration: False)
    assert load_text()
