"""Several teachers of one student, run or cached, and temperatures that change: each resumes to the same bits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from kd.errors import SpecError
from kd.stages.context import Interrupted
from kd.train.weights import load_weights
from tests.kd.conftest import CE_AND_KD, damaged, make_spec, result_of
from tests.kd.stages.test_cache import cache_spec
from tests.kd.stages.training.test_fit_stage import outcome, stop_at

UNIFORM = {"name": "uniform", "arguments": {}}
GATE = {"name": "gate", "arguments": {"epochs": 3}}


def student_spec(count: int = 2, **settings: Any) -> dict:
    """Return the spec of a student of ``count`` teachers."""
    spec = make_spec("student", kind="distill", precision="float32", **settings)
    named = ["teacher"] if count == 1 else [f"teacher_{number + 1}" for number in range(count)]
    return {**spec, "parents": dict.fromkeys(named, spec["parents"]["teacher"])}


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("parents")


@pytest.fixture
def parents(run, teacher: Path, shared: Path) -> dict[str, dict[str, Path]]:
    """Two teachers under their references: run live, read from caches, and one of each. Made once."""

    def once(name: str, spec: dict, **surroundings: Any) -> Path:
        if not (shared / name / "result.json").exists():
            run(shared / name, spec, **surroundings)
        return shared / name

    other = once("other", make_spec("other", epochs=1))
    first = once("views_1", cache_spec(), parents={"teacher": teacher})
    second = once("views_2", cache_spec(), parents={"teacher": other})
    return {
        "live": {"teacher_1": teacher, "teacher_2": other},
        "cached": {"teacher_1": first, "teacher_2": second},
        "both": {"teacher_1": first, "teacher_2": other},
    }


@pytest.mark.cpu  # equal bits without `deterministic`
def test_cached_and_live_teachers_teach_the_same(run, parents, tmp_path: Path) -> None:
    both, cached = (
        outcome(run(tmp_path / kind, student_spec(weighting=UNIFORM), parents=parents[kind]))
        for kind in ("both", "cached")
    )
    assert both == cached


@pytest.mark.parametrize("kind", ["live", "cached"])
@pytest.mark.parametrize("weighting", [UNIFORM, {"name": "label", "arguments": {}}, GATE], ids=lambda w: w["name"])
@pytest.mark.cpu  # equal bits without `deterministic`
def test_a_student_of_several_teachers_resumes_bit_for_bit(run, parents, tmp_path: Path, kind, weighting) -> None:
    spec = student_spec(weighting=weighting, epochs=2)
    whole = run(tmp_path / "whole", spec, parents=parents[kind])
    for step in (2, 4):
        with pytest.raises(Interrupted):
            run(tmp_path / "it", spec, parents=parents[kind], stop_requested=stop_at(step))
    again = run(tmp_path / "it", spec, parents=parents[kind])
    assert outcome(again) == outcome(whole)
    assert damaged(again) == []
    assert result_of(again)["teachers"] == result_of(whole)["teachers"]
    assert [facts["stage"] for facts in result_of(again)["teachers"]] == ["teacher", "other"]


def test_the_gate_is_an_artefact_and_is_fitted_only_once(run, parents, tmp_path: Path, monkeypatch) -> None:
    spec = student_spec(weighting=GATE, epochs=1)
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec, parents=parents["cached"], stop_requested=stop_at(1))
    monkeypatch.setattr("kd.distill.gate.Gate.fit", None)
    folder = run(tmp_path / "it", spec, parents=parents["cached"])
    result = result_of(folder)
    assert "checkpoint/gate.safetensors" in result["files"]
    assert damaged(folder) == []
    assert 1 <= result["gate"]["teachers_used"] <= 2
    assert result["gate"]["uniform_loss"] > 0


def test_a_gate_of_another_spec_is_fitted_anew(run, parents, tmp_path: Path) -> None:
    first = student_spec(weighting=GATE, epochs=1)
    run(tmp_path / "it", first, parents=parents["cached"])
    before = (tmp_path / "it/checkpoint/gate.safetensors").read_bytes()
    (tmp_path / "it/result.json").unlink()
    run(tmp_path / "it", {**first, "seed": 8, "fingerprint": "other"}, parents=parents["cached"])
    assert (tmp_path / "it/checkpoint/gate.safetensors").read_bytes() != before


def test_how_teachers_are_weighed_changes_the_training(run, parents, tmp_path: Path) -> None:
    names = ("uniform", "entropy", "label", "gate")
    found = {
        name: outcome(
            run(
                tmp_path / name,
                student_spec(weighting={"name": name, "arguments": {}}, epochs=1),
                parents=parents["cached"],
            )
        )["last"]
        for name in names
    }
    assert len(set(found.values())) == len(names)


def test_one_teacher_in_a_list_is_plain_distillation(run, parents, teacher: Path, tmp_path: Path) -> None:
    plain = outcome(run(tmp_path / "plain", student_spec(1), parents={"teacher": teacher}))
    listed = outcome(run(tmp_path / "listed", student_spec(1, weighting=GATE), parents={"teacher": teacher}))
    assert listed == plain


def test_caches_of_unequal_views_are_refused(run, parents, teacher: Path, tmp_path: Path) -> None:
    more = run(tmp_path / "views", cache_spec(views=3), parents={"teacher": teacher}).path
    with pytest.raises(SpecError, match="hold 2 and 3 views"):
        run(
            tmp_path / "it",
            student_spec(weighting=UNIFORM),
            parents={**parents["cached"], "teacher_2": more},
        )


@pytest.mark.parametrize(
    "temperature",
    [
        {"name": "linear", "arguments": {"start": 4.0, "end": 2.0}},
        {"name": "loss", "arguments": {}},
        {"name": "slope", "arguments": {}},
    ],
    ids=lambda temperature: temperature["name"],
)
def test_a_training_with_a_changing_temperature_resumes_bit_for_bit(
    run, teacher: Path, tmp_path: Path, temperature: dict
) -> None:
    spec = student_spec(1, temperature=temperature, epochs=4)
    whole = outcome(run(tmp_path / "whole", spec, parents={"teacher": teacher}))
    for step in (6, 5):
        with pytest.raises(Interrupted):
            run(tmp_path / "it", spec, parents={"teacher": teacher}, stop_requested=stop_at(step))
    assert outcome(run(tmp_path / "it", spec, parents={"teacher": teacher})) == whole
    constant = outcome(run(tmp_path / "constant", student_spec(1, epochs=4), parents={"teacher": teacher}))
    assert constant["last"] != whole["last"]


def test_a_constant_temperature_is_plain_distillation_bit_for_bit(run, teacher: Path, tmp_path: Path) -> None:
    plain = outcome(run(tmp_path / "plain", student_spec(1, epochs=2), parents={"teacher": teacher}))
    constant = {"name": "constant", "arguments": {"temperature": 4.0}}
    other = {**CE_AND_KD, "kd": {"weight": 0.5, "arguments": {"temperature": 9.0}}}
    spec = student_spec(1, epochs=2, temperature=constant, loss=other)
    assert outcome(run(tmp_path / "constant", spec, parents={"teacher": teacher})) == plain


def test_the_mixture_of_two_equal_teachers_is_the_teacher(run, teacher: Path, tmp_path: Path) -> None:
    one = run(tmp_path / "one", student_spec(1, epochs=1), parents={"teacher": teacher})
    spec = student_spec(2, weighting=UNIFORM, epochs=1)
    two = run(tmp_path / "two", spec, parents={"teacher_1": teacher, "teacher_2": teacher})
    rows = []
    for folder in (one, two):
        with open(folder.metrics, newline="") as file:
            rows.append(next(csv.DictReader(file)))
    assert float(rows[0]["loss_kd"]) == pytest.approx(float(rows[1]["loss_kd"]), rel=1e-4)
    assert json.loads(one.result.read_text())["teacher"] == result_of(two)["teachers"][0]
    assert not torch.is_inference_mode_enabled()


def test_two_processes_taught_by_caches_come_to_the_result_of_one(run, parents, tmp_path: Path, monkeypatch) -> None:
    spec = student_spec(weighting=GATE, epochs=2)
    alone = run(tmp_path / "one", spec, parents=parents["cached"])
    monkeypatch.setenv("KD_PROCESSES", "2")
    with pytest.raises(Interrupted):
        run(tmp_path / "two", spec, parents=parents["cached"], stop_requested=stop_at(3))
    together = run(tmp_path / "two", spec, parents=parents["cached"])
    expected, found = (load_weights(folder.checkpoint / "last.safetensors")[0] for folder in (alone, together))
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-5)
    gates = [load_file(folder.checkpoint / "gate.safetensors") for folder in (alone, together)]
    for name, tensor in gates[0].items():
        torch.testing.assert_close(gates[1][name], tensor, rtol=1e-5, atol=1e-5)
