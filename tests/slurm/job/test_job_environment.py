"""The job's identity as Slurm's variables give it, and its number of threads."""

from __future__ import annotations

import pytest

from slurm.job.job_environment import JobIdentity, job_identity, set_thread_counts
from tests.slurm.made_runs import FakeSlurm, fake_slurm

__all__ = ["fake_slurm"]


def test_outside_slurm_there_is_no_job() -> None:
    assert job_identity({"HOME": "/root"}) == JobIdentity(job_id=None, raw_id=None, restarts=0, partition=None)


def test_a_plain_job_has_one_number() -> None:
    job = job_identity({"SLURM_JOB_ID": "77", "SLURM_JOB_PARTITION": "a100"})
    assert (job.job_id, job.raw_id, job.restarts, job.partition) == ("77", "77", 0, "a100")


def test_an_array_task_is_named_by_its_array_and_has_a_raw_number_of_its_own() -> None:
    array = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2"}
    job = job_identity({"SLURM_JOB_ID": "79", "SLURM_RESTART_COUNT": "3", **array})
    assert (job.job_id, job.raw_id, job.restarts) == ("77_2", "79", 3)


def test_threads_follow_the_allocation_and_not_the_login_shell() -> None:
    variables = {"SLURM_CPUS_PER_TASK": "6", "OMP_NUM_THREADS": "1"}
    assert set_thread_counts(variables) == 6
    assert variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == "6"


@pytest.mark.parametrize("count", [None, "", "0", "many"])
def test_threads_are_left_alone_where_slurm_names_none(count: str | None) -> None:
    variables = {"OMP_NUM_THREADS": "3", **({} if count is None else {"SLURM_CPUS_PER_TASK": count})}
    assert set_thread_counts(variables) is None
    assert variables["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("answer", "partition"), [("b\n", "b"), ("", None), ("elsewhere\n", None)])
def test_of_several_partitions_the_one_that_was_granted_is_asked_for(
    answer: str, partition: str | None, fake_slurm: FakeSlurm
) -> None:
    fake_slurm.says("squeue", answer)
    assert job_identity({"SLURM_JOB_ID": "77", "SLURM_JOB_PARTITION": "a,b"}).partition == partition
    assert fake_slurm.calls("squeue") == ["squeue --noheader --jobs=77 --format=%P"]
