"""Slurm's commands as kd calls them: what counts as refused, and what is merely late."""

from __future__ import annotations

import pytest

from kd.errors import ClusterError
from slurm.cluster import slurm_commands
from tests.slurm.made_runs import FakeSlurm, fake_slurm

__all__ = ["fake_slurm"]

ENDED = "Job has already finished for job 7\nslurm_suspend error: No error\n"
UNKNOWN = "Invalid job id specified for job 7\nslurm_suspend error: Invalid job id specified\n"


@pytest.mark.parametrize("said", [ENDED, UNKNOWN, UNKNOWN + ENDED], ids=["ended", "forgotten", "both"])
def test_releasing_a_job_that_has_ended_is_no_error(fake_slurm: FakeSlurm, said: str) -> None:
    fake_slurm.says("scontrol", "", error=said, code=1)
    slurm_commands.release(["7_0", "7_1", "8"])
    assert fake_slurm.calls("scontrol") == ["scontrol release 7,8"]


@pytest.mark.parametrize(
    "said", ["Access/permission denied for job 8\n", "slurm_suspend error: Unable to contact\n", ""]
)
def test_a_release_that_slurm_refuses_is_one(fake_slurm: FakeSlurm, said: str) -> None:
    fake_slurm.says("scontrol", "", error=said, code=1)
    with pytest.raises(ClusterError, match="scontrol release failed: "):
        slurm_commands.release(["8"])


def test_a_refusal_among_ended_jobs_is_found(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("scontrol", "", error=f"{ENDED}Access/permission denied for job 8\n", code=1)
    with pytest.raises(ClusterError, match=r"failed: Access/permission denied for job 8$"):
        slurm_commands.release(["7", "8"])


def test_cancelling_a_job_that_has_ended_is_no_error(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("scancel", "", error="scancel: error: Kill job error on job id 7: Invalid job id specified", code=1)
    slurm_commands.cancel(["7"])
    fake_slurm.says("scancel", "", error="scancel: error: Access denied", code=1)
    with pytest.raises(ClusterError, match="Access denied"):
        slurm_commands.cancel(["7"])
