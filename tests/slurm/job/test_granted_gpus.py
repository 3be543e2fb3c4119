"""A job that sees fewer GPUs than it asked for ends in one line."""

from __future__ import annotations

import pytest
import torch

from kd.errors import RunError
from slurm.job.granted_gpus import require_gpus


@pytest.mark.parametrize(("asked", "seen"), [(1, 0), (4, 1)])
def test_fewer_gpus_than_asked_are_an_error_with_all_that_tells_why(
    asked: int, seen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    with pytest.raises(RunError) as error:
        require_gpus(asked, {"CUDA_VISIBLE_DEVICES": "0"})
    line = str(error.value)
    assert f"asked for {asked} GPU" in line
    assert f"sees {seen} on " in line
    for fact in ("CUDA_VISIBLE_DEVICES=0", "driver ", f"torch {torch.__version__}", "require_gpus: false"):
        assert fact in line
    assert "\n" not in line


def test_enough_gpus_and_none_asked_for_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    require_gpus(2, {})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    require_gpus(0, {})
