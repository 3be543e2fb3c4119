"""Trainings that start from another stage: pruned, or rounding as int8 does, with a teacher or without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from kd.compress.fake_int8 import round_weights
from kd.errors import CheckpointError, SpecError
from kd.models.widths import read_widths
from kd.stages.context import Interrupted
from kd.train.weights import load_model, load_weights
from tests.kd.conftest import make_spec, result_of

BEST = "checkpoint/best.safetensors"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture
def student(run, shared: Path) -> Path:
    """A finished student; trained once."""
    if not (shared / "student/result.json").exists():
        run(shared / "student", make_spec("student"))
    return shared / "student"


def shrunk(stage: str, *, kind: str = "train", **settings: object) -> dict:
    """Return the spec of a stage that starts from the student."""
    spec = make_spec(stage, kind=kind, **settings)
    start = {"stage": "student", "seed": 7, "fingerprint": "student-1"}
    return {**spec, "parents": {**spec["parents"], "start": start}}


def test_without_a_change_training_goes_on_from_the_others_weights(run, student: Path, tmp_path: Path) -> None:
    frozen = {"optimizer": {"name": "sgd", "arguments": {"lr": 0.0, "momentum": 0.0}}}
    folder = run(tmp_path / "same", shrunk("same", epochs=1, **frozen), parents={"start": student})
    before, _ = load_weights(student / BEST)
    after, _ = load_weights(folder.path / BEST)
    assert all(torch.equal(after[name], before[name]) for name in before if name.endswith(".weight"))
    result = result_of(folder)
    assert result["start"]["stage"] == "student"


def test_pruning_is_fine_tuned_with_a_teacher_and_reloads(run, student: Path, teacher: Path, tmp_path: Path) -> None:
    spec = shrunk("pruned", kind="distill", prune=0.5)
    folder = run(tmp_path / "pruned", spec, parents={"start": student, "teacher": teacher})
    result = result_of(folder)
    model, card = load_model(folder.path / BEST)
    assert read_widths(model)["blocks.0.0"][0] == 2  # of 4
    assert card.widths["blocks.0.0"] == (2, 3, 1)
    after = result["pruning"]["after"]["parameters"]
    assert result["parameters"] == sum(p.numel() for p in model.parameters()) == after
    assert after < result["pruning"]["before"]["parameters"]
    assert result["teacher"]["stage"] == "teacher"


def test_an_interrupted_pruning_ends_with_the_same_weights(run, student: Path, tmp_path: Path) -> None:
    spec = shrunk("pruned", prune=0.5)
    whole = run(tmp_path / "whole", spec, parents={"start": student})
    asked = iter([False] * 5 + [True] * 100)
    with pytest.raises(Interrupted):
        run(tmp_path / "torn", spec, parents={"start": student}, stop_requested=lambda: next(asked))
    torn = run(tmp_path / "torn", spec, parents={"start": student})
    assert (torn.path / BEST).read_bytes() == (whole.path / BEST).read_bytes()


def test_int8_aware_training_leaves_an_ordinary_file_on_the_int8_grid(run, student: Path, tmp_path: Path) -> None:
    spec = shrunk("aware", int8_aware=True, precision="float32")
    asked = iter([False] * 5 + [True] * 100)
    with pytest.raises(Interrupted):
        run(tmp_path / "aware", spec, parents={"start": student}, stop_requested=lambda: next(asked))
    folder = run(tmp_path / "aware", spec, parents={"start": student})
    for name in ("best", "last"):
        model, _ = load_model(folder.path / f"checkpoint/{name}.safetensors")
        layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
        assert layers
        for layer in layers:
            torch.testing.assert_close(layer.weight, round_weights(layer.weight), rtol=0, atol=1e-7)


def test_a_ratio_that_empties_a_layer_ends_in_one_line(run, student: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"would leave layer 'blocks.0.0' none of its 4 channels"):
        run(tmp_path / "empty", shrunk("empty", prune=0.9), parents={"start": student})
    assert not (tmp_path / "empty/result.json").exists()


def test_a_start_that_has_not_finished_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has not finished"):
        run(tmp_path / "early", shrunk("early"), parents={"start": tmp_path})
