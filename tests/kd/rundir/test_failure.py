"""Why the last attempt failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.rundir.failure import Failure, read_failure, write_failure
from kd.rundir.folders import StageFolder


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    failure = Failure(error="DataError", message="no such file", traceback="…", attempt=2, time=5.0, host="node1")
    write_failure(StageFolder(tmp_path), failure)
    assert read_failure(StageFolder(tmp_path)) == failure


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (Failure(error="DataError", message="no such file\nsecond line"), "no such file"),
        (Failure(error="DataError", message=" \n"), "DataError"),
        (Failure(), "no message was left"),
    ],
)
def test_the_reason_is_one_line(failure: Failure, reason: str) -> None:
    assert failure.reason == reason


def test_no_file_or_half_a_file_is_none(tmp_path: Path) -> None:
    assert read_failure(StageFolder(tmp_path)) is None
    (tmp_path / "failure.json").write_text('{"error": ')
    assert read_failure(StageFolder(tmp_path)) is None
