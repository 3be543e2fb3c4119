"""In which form steps run: as asked for, or plain with a line that says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from kd.rundir.folders import StageFolder
from kd.stages.context import in_place
from kd.stages.training.step_forms import COMPILED_CODE, compiled_code_of
from kd.train.weights import load_weights
from tests.kd.conftest import result_of


@pytest.mark.cpu
def test_a_graph_without_a_gpu_runs_plain_steps_and_says_so(run, spec, tmp_path: Path, capfd) -> None:
    plain, asked = (
        run(tmp_path / name, spec(epochs=1, compile=compile)) for name, compile in (("a", False), ("b", "graph"))
    )
    assert capfd.readouterr().err.splitlines() == [
        "kd: compile: graph needs one GPU, which is not here; the steps run one operation at a time"
    ]
    assert "steps" not in result_of(plain)
    assert result_of(asked)["steps"] == "plain"
    ours, theirs = (load_weights(folder.checkpoint / "last.safetensors")[0] for folder in (asked, plain))
    assert all(map(torch.equal, ours.values(), theirs.values()))


def test_what_the_compiler_makes_is_kept_in_the_run_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMPILED_CODE, raising=False)
    stage = StageFolder(tmp_path / "run/stages/teacher/seed-1")
    with compiled_code_of(in_place(stage)):
        assert COMPILED_CODE not in os.environ  # a stage folder by itself belongs to no run
    (tmp_path / "run").mkdir()
    (tmp_path / "run/plan.json").touch()
    for folder in (stage, stage.trial):
        with compiled_code_of(in_place(folder)):
            assert os.environ[COMPILED_CODE] == str(tmp_path / "run/compiled")
        assert COMPILED_CODE not in os.environ
    monkeypatch.setenv(COMPILED_CODE, "elsewhere")
    with compiled_code_of(in_place(stage)):
        assert os.environ[COMPILED_CODE] == "elsewhere"
