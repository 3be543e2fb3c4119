"""Run folders: their paths and how a person names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import RunError
from kd.files import write_json
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey, RunFolder, find_run, results_folder


def make(path: Path) -> RunFolder:
    write_json(path / "plan.json", {})
    return RunFolder(path)


def test_a_job_is_named_for_paths_and_for_sentences() -> None:
    assert (str(JobKey("teacher", 42)), JobKey("teacher", 42).words) == ("teacher/seed-42", "teacher seed 42")
    assert (str(JobKey("report", None)), JobKey("report", None).words) == ("report", "report")


def test_a_stage_folder_knows_its_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.stage(JobKey("teacher", 42)).path == tmp_path / "run/stages/teacher/seed-42"
    assert run.stage(JobKey("report", None)).run == run


def test_a_run_is_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(tmp_path / "results" / "cnn")
    monkeypatch.chdir(tmp_path)
    for name in ("cnn", "results/cnn", "results/cnn/", str(run.path)):
        assert find_run(name, Path("results")) == run


def test_a_folder_of_the_same_name_that_is_no_run_is_not_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tmp_path / "results" / "cnn")
    (tmp_path / "cnn").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_run("cnn", Path("results")) == run


def test_a_folder_that_is_no_run_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no plan\.json"):
        find_run(str(tmp_path), tmp_path / "results")


def test_the_nearest_name_is_offered(tmp_path: Path) -> None:
    make(tmp_path / "cnn_pipeline")
    with pytest.raises(RunError, match="did you mean 'cnn_pipeline'"):
        find_run("cnn_pipelin", tmp_path)


def test_the_results_folder_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KD_RESULTS", raising=False)
    assert results_folder() == Path("results")
    monkeypatch.setenv("KD_RESULTS", "/elsewhere")
    assert results_folder() == Path("/elsewhere")


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '"text"'])
def test_what_is_not_an_object_reads_as_nothing(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    assert read_object(path) is None


def test_a_folder_is_a_run_once_it_is_planned(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(RunError, match="no such run folder"):
        run.require()
    run.path.mkdir()
    with pytest.raises(RunError, match="not a run folder"):
        run.require()
    run.code.touch()  # as kd-submit leaves it that was killed in the middle
    with pytest.raises(RunError, match="interrupted before it had planned this run; run it again"):
        run.require()
    run.plan.touch()
    assert run.require() is run
