"""result.json: written and read back as one value, whoever wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kd.errors import RunError
from kd.files import sha256_file
from kd.rundir.folders import BEST, StageFolder
from kd.rundir.result_sections import BestAndLast, JobFacts, Metrics, Seconds
from kd.rundir.stage_result import (
    DamagedResult,
    StageResult,
    damaged_artefacts,
    load_result,
    read_result,
    write_result,
)
from tests.kd.rundir.first_release import TRAINED

RESULT = StageResult(
    format=1,
    stage="student",
    seed=None,
    kind="train",
    role=None,
    pipeline="cnn",
    fingerprint="f",
    parents={},
    files={},
    job=JobFacts(),
    finished=2000.0,
)


def written(path: Path, **changes: Any) -> StageFolder:
    (path / "result.json").write_text(json.dumps({**msgspec.to_builtins(RESULT), **changes}))
    return StageFolder(path)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    best = Metrics(accuracy=0.9, loss=0.25)
    result = msgspec.structs.replace(RESULT, test=BestAndLast(best=best), seconds=Seconds(total=1.5))
    write_result(StageFolder(tmp_path), result)
    assert read_result(StageFolder(tmp_path)) == result
    assert result.test_accuracy == 0.9


def test_what_was_not_measured_is_absent_and_what_is_not_known_is_null(tmp_path: Path) -> None:
    write_result(StageFolder(tmp_path), RESULT)
    content = json.loads((tmp_path / "result.json").read_text())
    assert list(content) == [
        "format", "stage", "seed", "kind", "role", "pipeline", "fingerprint", "parents", "files", "job", "finished",
    ]  # fmt: skip
    assert content["seed"] is content["role"] is content["job"]["job_id"] is None


def test_a_number_that_json_has_not_is_refused_before_the_job_counts_as_done(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        write_result(StageFolder(tmp_path), msgspec.structs.replace(RESULT, gpu_memory_mb=float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_the_first_release_loads_and_is_written_with_the_same_content(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(TRAINED))
    result = load_result(StageFolder(tmp_path))
    assert result.teacher is not None
    assert (result.teacher.stage, result.test_accuracy) == ("teacher", 0.9166666666666666)
    assert msgspec.to_builtins(result) == TRAINED


@pytest.mark.parametrize("changes", [{}, {"files": None, "a newer section": {}}])
def test_a_result_of_a_newer_version_says_so_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = written(tmp_path, format=2, **changes)
    words = r"result\.json: a newer version of kd wrote it \(format 2; this one reads 1\)$"
    for read in (load_result, read_result):
        with pytest.raises(RunError, match=words) as caught:
            read(folder)
        assert not isinstance(caught.value, DamagedResult)


def test_half_a_result_is_none_and_says_where_it_is_damaged(tmp_path: Path) -> None:
    folder = written(tmp_path, seconds={"total": "long"})
    assert read_result(folder) is None
    with pytest.raises(DamagedResult, match=r"result\.json: damaged \(Expected `float \| null`, got `str` - at `\$\.s"):
        load_result(folder)
    with pytest.raises(FileNotFoundError):
        load_result(StageFolder(tmp_path / "nowhere"))


def test_artefacts_are_verified_by_their_bytes(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    folder.checkpoint.mkdir()
    folder.best.write_bytes(b"weights")
    result = msgspec.structs.replace(RESULT, files={BEST: sha256_file(folder.best), "gone.csv": "0" * 64})
    assert damaged_artefacts(folder, result) == ["gone.csv"]
    folder.best.write_bytes(b"other")
    assert damaged_artefacts(folder, result) == [BEST, "gone.csv"]
