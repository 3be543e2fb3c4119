"""Every loss of images of one class in a distillation: it trains, is logged, leaves no trace of an interruption."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kd import catalog
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.losses.builders import BUILDERS
from kd.losses.label_kinds import label_kind
from kd.run import run_stage
from kd.rundir.folders import RunFolder, StageFolder
from kd.stages.context import Interrupted, in_place
from kd.train.checkpoint import load_resume
from kd.train.weights import load_weights
from tests.conftest import REPOSITORY

# those of several labels: tests/kd/stages/test_modalities.py
LOSSES = sorted(name for name, loss in catalog.entries("loss").items() if label_kind(loss.inputs) != "multi")
LOSSES.remove("ce")
ARGUMENTS: dict[str, dict[str, Any]] = {"crd": {"negatives": 16}, "dkd": {"warmup": 2}}
STATEFUL = sorted({*BUILDERS, "dkd"})
ON_MAPS = [name for name in LOSSES if "student_maps" in catalog.entries("loss")[name].inputs and name != "fsp"]


@pytest.fixture
def distil(run, spec, teacher) -> Callable[..., StageFolder]:
    """Distil by cross-entropy and one more loss, one epoch of 4 steps unless told otherwise."""

    def go(
        path: Path, loss: str, *, stop_requested: Callable[[], bool] = lambda: False, **settings: Any
    ) -> StageFolder:
        terms = {
            "ce": {"weight": 1.0, "arguments": {}},
            loss: {"weight": 0.5, "arguments": ARGUMENTS.get(loss, {})},
        }
        job = spec("student", kind="distill", loss=terms, **{"model": "resnet8", "epochs": 1, **settings})
        return run(path, job, parents={"teacher": teacher}, stop_requested=stop_requested)

    return go


def after(steps: int) -> Callable[[], bool]:
    """Return a ``stop_requested`` that says yes after so many steps."""
    asked = 0

    def stop_requested() -> bool:
        nonlocal asked
        asked += 1
        return asked == steps

    return stop_requested


def rows(folder: StageFolder) -> list[dict[str, str]]:
    with open(folder.metrics, newline="") as file:
        return list(csv.DictReader(file))


def saved_adapters(folder: Path) -> dict[str, torch.Tensor]:
    saved = load_resume(folder / "checkpoint")
    assert saved is not None
    return saved["training"]["adapters"]


# a student with as many stages as the teacher, and one with fewer
@pytest.mark.parametrize(
    ("loss", "model"), [(loss, "resnet8") for loss in LOSSES] + [(loss, "convnet") for loss in ON_MAPS]
)
def test_a_student_trains_by_a_loss_that_is_logged(distil, tmp_path: Path, loss: str, model: str) -> None:
    folder = distil(tmp_path / "it", loss, model=model)
    (row,) = rows(folder)
    part = float(row[f"loss_{loss}"])
    assert math.isfinite(part)
    assert part != 0 or (loss, model) == ("at", "convnet")  # at its last stage a map is one pixel: one place to look at
    assert float(row["train_loss"]) == pytest.approx(float(row["loss_ce"]) + 0.5 * part, rel=1e-4)


@pytest.mark.parametrize("loss", sorted(BUILDERS))
def test_adapters_are_trained_and_saved_and_not_exported(distil, run, spec, tmp_path: Path, loss: str) -> None:
    states = []
    for steps in (1, 3):
        with pytest.raises(Interrupted):
            distil(tmp_path / f"{steps}", loss, stop_requested=after(steps))
        states.append(saved_adapters(tmp_path / f"{steps}"))
    first, third = states
    assert first
    unchanged = {name for name in first if torch.equal(first[name], third[name])}
    # of untrained networks the translator's factors are too small to have a direction
    assert unchanged <= {f"{loss}.log_normalisers", *(name for name in first if name.startswith("ft.translate."))}
    student = distil(tmp_path / "3", loss)
    plain = run(tmp_path / "plain", spec("baseline", model="resnet8", epochs=1))
    weights = [load_weights(folder.checkpoint / "last.safetensors")[0] for folder in (student, plain)]
    assert sorted(weights[0]) == sorted(weights[1])
    counts = [json.loads(folder.result.read_text())["parameters"] for folder in (student, plain)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("loss", STATEFUL)
def test_an_interrupted_distillation_ends_with_the_same_bits(distil, tmp_path: Path, loss: str) -> None:
    whole = distil(tmp_path / "whole", loss, epochs=2)
    for steps in (2, 3):  # within the first epoch, then within the second
        with pytest.raises(Interrupted):
            distil(tmp_path / "it", loss, epochs=2, stop_requested=after(steps))
        torch.rand(11)  # the next process has drawn other random numbers
    resumed = distil(tmp_path / "it", loss, epochs=2)
    for name in ("best", "last"):
        ours, theirs = (load_weights(folder.checkpoint / f"{name}.safetensors")[0] for folder in (resumed, whole))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    logged = [[(row["train_loss"], row[f"loss_{loss}"]) for row in rows(folder)] for folder in (resumed, whole)]
    assert logged[0] == logged[1]


@pytest.mark.parametrize("loss", sorted(BUILDERS))
def test_the_student_starts_the_same_with_adapters_and_without(distil, run, spec, tmp_path: Path, loss: str) -> None:
    still = {"optimizer": {"name": "sgd", "arguments": {"lr": 1e-30}}}
    plain = run(tmp_path / "plain", spec("baseline", model="resnet8", epochs=1, **still))
    ours = distil(tmp_path / "ours", loss, **still)
    first, second = (load_weights(folder.checkpoint / "last.safetensors")[0]["fc.weight"] for folder in (ours, plain))
    assert torch.equal(first, second)


@pytest.mark.cpu  # two processes without two GPUs
def test_two_processes_come_to_the_result_of_one_by_all_losses_together(
    run, spec, teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # small weights: forty gradients together enlarge what sums in another order round otherwise
    terms = {name: {"weight": 0.02, "arguments": ARGUMENTS.get(name, {})} for name in ("ce", *LOSSES)}
    job = spec("student", kind="distill", model="resnet8", epochs=2, loss=terms, precision="float32")
    alone = run(tmp_path / "one", job, parents={"teacher": teacher})
    monkeypatch.setenv("KD_PROCESSES", "2")
    together = run(tmp_path / "two", job, parents={"teacher": teacher})
    ours, theirs = (load_weights(folder.checkpoint / "last.safetensors")[0] for folder in (together, alone))
    for name, expected in theirs.items():
        # sums taken in another order, enlarged by the batch norms of the adapters
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-3)
    for row, expected in zip(rows(together), rows(alone), strict=True):
        for name in LOSSES:
            assert float(row[f"loss_{name}"]) == pytest.approx(float(expected[f"loss_{name}"]), rel=1e-3, abs=1e-5)


def test_a_loss_stands_in_a_stage_several_times_and_each_teacher_gives_features(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KD_THREADS", "1")
    plan = plan_pipeline(load_pipeline(str(REPOSITORY / "tests/specs/good/terms.yaml"), tiny=True))
    whole = RunFolder(tmp_path)
    for job in plan.jobs[:3]:  # two teachers and the first student
        folder = whole.stage(job.key)
        write_json(folder.spec, job.spec.to_json())
        run_stage(in_place(folder, parents={name: whole.stage(key).path for name, key in job.parents.items()}))
    first = {term: float(value) for term, value in rows(folder)[0].items() if term.startswith("loss_")}
    assert list(first) == ["loss_ce", "loss_kd", "loss_kd_hot", "loss_at", "loss_at_of_assistant"]
    assert all(math.isfinite(value) and value > 0 for value in first.values())
    assert len(set(first.values())) == 5
