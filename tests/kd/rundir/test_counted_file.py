"""counted.json says what a stage was planned with; without one there is nothing to explain."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kd.files import write_json
from kd.rundir.counted_file import Counted, read_counted
from kd.rundir.folders import RunFolder


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    counted = Counted(
        stages={"teacher": {"the content of /data": "abc"}}, folders={"/data": {"a.png": "1", "b.png": "2"}}
    )
    write_json(tmp_path / "counted.json", msgspec.to_builtins(counted))
    read = read_counted(RunFolder(tmp_path))
    assert read == counted
    assert read.content_of("teacher", "/data") == "abc"
    assert read.content_of("student", "/data") is None


@pytest.mark.parametrize("content", [None, "{", '{"stages": 3}'])
def test_a_missing_or_damaged_one_counts_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "counted.json").write_text(content)
    assert read_counted(RunFolder(tmp_path)) == Counted()
