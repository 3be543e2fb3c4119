"""Scratch: only a folder that belongs to this job is used, and nothing is left in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from slurm.job.job_environment import JobIdentity
from slurm.job.scratch import Scratch, scratch_folder

JOB = JobIdentity(job_id="400_1", raw_id="4321", restarts=2)


def resolve(
    *candidates: str,
    job: JobIdentity = JOB,
    submit_tmpdir: str | None = None,
    mounts: str = "",
    table: Path | None = None,
    **variables: str,
) -> Scratch:
    """Return what ``scratch_folder`` yields; the folder is gone afterwards."""
    if table is not None:
        table.write_text(mounts)
    environment = {"SLURM_JOB_ID": job.raw_id or "", **variables}
    with scratch_folder(candidates, job, environment, submit_tmpdir, table or Path("/nonexistent")) as scratch:
        if scratch.path is not None:
            assert stat.S_IMODE(scratch.path.stat().st_mode) == 0o700
            (scratch.path / "file").write_text("x")
    assert scratch.path is None or not scratch.path.exists()
    return scratch


def test_a_path_that_names_the_job_is_used_through_a_folder_of_its_own(folder: Path) -> None:
    base = folder / "job.4321.0"
    base.mkdir()
    scratch = resolve("$SLURM_TMPDIR", SLURM_TMPDIR=str(base), submit_tmpdir="/tmp")
    assert scratch.path is not None
    assert scratch.path.parent == base
    assert scratch.path.name.startswith("kd-4321-r2-")
    assert os.listdir(base) == []


def test_a_folder_that_the_site_leaves_to_the_user_is_made_and_removed(folder: Path) -> None:
    scratch = resolve("$LOCAL/${SLURM_JOB_ID}", LOCAL=str(folder))
    assert scratch.path is not None
    assert scratch.path.parent == folder / "4321"
    assert os.listdir(folder) == []


def test_the_tmpdir_of_the_submitting_shell_is_refused(folder: Path) -> None:
    scratch = resolve("$TMPDIR", TMPDIR=str(folder), submit_tmpdir=f"{folder}/../{folder.name}")
    assert scratch.path is None
    assert "TMPDIR of the shell that submitted" in scratch.reason


def test_the_tmpdir_of_an_outer_job_is_refused_even_when_it_names_a_job(folder: Path) -> None:
    base = folder / "4321"
    base.mkdir()
    assert resolve("$TMPDIR", TMPDIR=str(base), submit_tmpdir=str(base)).path is None


@pytest.mark.parametrize("name", ["14321", "43210", "job43211"])
def test_the_number_of_another_job_is_no_proof(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert resolve("$TMPDIR", TMPDIR=str(tmp_path / name)).path is None


def test_a_private_folder_that_differs_from_the_submitters_is_used(folder: Path) -> None:
    folder.chmod(0o700)
    assert resolve("$TMPDIR", TMPDIR=str(folder), submit_tmpdir="/tmp").path is not None


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    scratch = resolve("$TMPDIR", TMPDIR=str(tmp_path), submit_tmpdir="/elsewhere")
    assert scratch.path is None
    assert "nothing shows" in scratch.reason


def test_without_the_submitters_tmpdir_a_private_folder_is_no_proof(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert resolve("$TMPDIR", TMPDIR=str(tmp_path), submit_tmpdir=None).path is None


def test_a_private_mount_is_used_though_its_name_is_that_of_the_submitter(folder: Path, tmp_path: Path) -> None:
    place = str(folder).replace(" ", "\\040").replace("\n", "\\012")
    line = f"36 35 98:0 /nvme/gpu1/4321/.4321 {place} rw,noatime - ext4 /dev/vda rw\n"
    scratch = resolve("$TMPDIR", TMPDIR=str(folder), submit_tmpdir=str(folder), mounts=line, table=tmp_path / "mounts")
    assert scratch.path is not None
    assert "mounted for this job" in scratch.reason


def test_an_ordinary_mount_is_no_proof(tmp_path: Path) -> None:
    line = f"36 35 98:0 / {tmp_path} rw - tmpfs tmpfs rw\n"
    tmp_path.chmod(0o1777)
    scratch = resolve("$TMPDIR", TMPDIR=str(tmp_path), submit_tmpdir="/x", mounts=line, table=tmp_path / "mounts")
    assert scratch.path is None


def test_candidates_are_tried_in_order_and_every_refusal_is_told(tmp_path: Path) -> None:
    useless = ("$SLURM_TMPDIR", "relative/$SLURM_JOB_ID", "/nonexistent/$SLURM_JOB_ID")
    scratch = resolve(*useless, f"{tmp_path}/$SLURM_JOB_ID")
    assert scratch.path is not None
    assert scratch.path.parent == tmp_path / "4321"
    nothing = resolve(*useless)
    assert nothing.path is None
    for words in ("$SLURM_TMPDIR is not set", "not an absolute path", "No such file or directory"):
        assert words in nothing.reason


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "4321").write_text("in the way")
    assert resolve(f"{tmp_path}/$SLURM_JOB_ID").path is None
    assert (tmp_path / "4321").is_file()


def test_what_a_killed_attempt_of_this_job_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    base = tmp_path / "4321"
    (base / "kd-4321-r1-abc" / "work").mkdir(parents=True)
    (base / "kd-43210-r0-abc").mkdir()
    (base / "other").mkdir()
    resolve(f"{tmp_path}/$SLURM_JOB_ID")
    assert sorted(os.listdir(base)) == ["kd-43210-r0-abc", "other"]


def test_two_tasks_that_share_a_folder_do_not_share_scratch(tmp_path: Path) -> None:
    other = JobIdentity(job_id="400_2", raw_id="4322")
    base = tmp_path / "4321 4322"
    base.mkdir()
    with (
        scratch_folder([str(base)], JOB, {}, None) as one,
        scratch_folder([str(base)], other, {}, None) as two,
    ):
        assert one.path is not None
        assert one.path != two.path
        assert one.path.is_dir()


def test_outside_slurm_work_is_done_in_place(tmp_path: Path) -> None:
    scratch = resolve(str(tmp_path), job=JobIdentity())
    assert (scratch.path, scratch.reason) == (None, "works in place (not a Slurm job)")


def test_the_folder_is_removed_after_an_exception(tmp_path: Path) -> None:
    environment = {"SLURM_JOB_ID": "4321"}

    def fail() -> None:
        with scratch_folder([f"{tmp_path}/$SLURM_JOB_ID"], JOB, environment, None) as scratch:
            raise ValueError(f"in {scratch.path}")

    with pytest.raises(ValueError, match="4321/kd-4321-r2-"):
        fail()
    assert os.listdir(tmp_path) == []
