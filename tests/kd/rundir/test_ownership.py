"""A run is refused where others could exchange its code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.rundir.folders import RunFolder
from kd.rundir.ownership import linked_entry, require_own

NOBODY = 65534


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "results" / "trial")
    (made.stages / "teacher").mkdir(parents=True)
    made.code.write_bytes(b"")
    return made


def test_a_run_of_ones_own_is_accepted_also_before_it_is_there(run: RunFolder, tmp_path: Path) -> None:
    require_own(run)
    require_own(RunFolder(tmp_path / "results" / "other"))


@pytest.mark.parametrize("part", [".", "..", "code.zip", "stages"])
def test_what_belongs_to_somebody_else_is_named(run: RunFolder, part: str) -> None:
    os.chown(run.path / part, NOBODY, -1)
    with pytest.raises(RunError, match="belongs to nobody, who could put other code there; choose another"):
        require_own(run)


@pytest.mark.parametrize("part", [".", "..", "code.zip", "stages"])
def test_what_everybody_may_write_to_is_named(run: RunFolder, part: str) -> None:
    (run.path / part).chmod(0o777)
    with pytest.raises(RunError, match=r"may be written to by everybody \(chmod go-w it"):
        require_own(run)


def test_a_results_folder_open_to_all_needs_the_sticky_bit(run: RunFolder) -> None:
    run.path.parent.chmod(0o1777)
    require_own(run)
    run.path.chmod(0o1777)
    with pytest.raises(RunError, match="may be written to by everybody"):
        require_own(run)


def test_a_group_of_ones_own_may_write(run: RunFolder) -> None:
    run.path.parent.chmod(0o775)
    require_own(run)
    os.chown(run.path.parent, -1, NOBODY)
    with pytest.raises(RunError, match="may be written to by the group"):
        require_own(run)


def test_folders_behind_a_link_are_judged_too(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run.path.parent)
    require_own(RunFolder(tmp_path / "link" / "trial"))
    run.path.parent.chmod(0o777)
    with pytest.raises(RunError, match="may be written to by everybody"):
        require_own(RunFolder(tmp_path / "link" / "trial"))


@pytest.mark.parametrize("part", ["journal.jsonl", "plan.json", "replaced", "report", "stages/student", "submitted/x"])
def test_a_link_in_the_place_of_a_runs_own_file_is_refused(run: RunFolder, part: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (run.path / part).parent.mkdir(exist_ok=True)
    (run.path / part).symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match="is a link"):
        require_own(run)


def test_a_link_among_a_jobs_entries_is_found_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "best.safetensors").write_bytes(b"")
    assert linked_entry(tmp_path) is None
    (tmp_path / "checkpoint" / "last.safetensors").symlink_to(tmp_path / "elsewhere")
    assert linked_entry(tmp_path) == tmp_path / "checkpoint" / "last.safetensors"
