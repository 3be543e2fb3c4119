"""kd-submit before anything is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slurm.commands.submit import main


def test_whatever_the_shells_umask_others_cannot_write_to_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KD_RESULTS", str(tmp_path))
    before = os.umask(0)
    try:
        missing = ("--set", f"data={{name: mnist, root: {tmp_path}/none, validation: 10}}")
        assert main(["quickstart", "--executor", "debug", *missing]) == 2
    finally:
        mask = os.umask(before)
    assert mask & 0o022 == 0o022
