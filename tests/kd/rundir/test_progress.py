"""The heartbeat of a job: written now and then, read back as a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.rundir.folders import StageFolder
from kd.rundir.progress import Heartbeat, Progress, read_progress


def test_the_heartbeat_is_due_after_its_seconds_only(tmp_path: Path) -> None:
    now = 0.0
    heartbeat = Heartbeat(tmp_path / "progress.json", seconds=2.0, clock=lambda: now)
    assert heartbeat.due()
    heartbeat.write(Progress(epoch=3, epochs=5))
    assert not heartbeat.due()
    now = 2.0
    assert heartbeat.due()
    written = read_progress(StageFolder(tmp_path))
    assert written is not None
    assert (written.epoch, written.epochs, written.metric) == (3, 5, None)
    assert written.updated > 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"epoch": "three", "epochs": 5}'])
def test_what_is_no_heartbeat_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "progress.json").write_text(content)
    assert read_progress(StageFolder(tmp_path)) is None
