"""A stage of two processes on a real Slurm: one task of one job, handed over in the middle of an epoch."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.rundir.bounded_json import read_object
from kd.rundir.folders import JobKey
from kd.rundir.journal import Journal
from tests.slurm.launching import Desk, wait_until, weights
from tests.testbed import Testbed

pytestmark = pytest.mark.slurm
TEACHER = JobKey("teacher", 1)
LONGER = ("--seeds", "1", "--only", "teacher", "--set", "stages.teacher.epochs=300")


@pytest.mark.timeout(600)  # Slurm takes its time to start a requeued job again
def test_a_stage_of_two_processes_is_handed_over_within_an_epoch_and_ends_the_same(
    testbed: Testbed, tmp_path: Path
) -> None:
    """The signal goes to every process of the step, as at a time limit; only the first process acts on it."""
    two = {"KD_PROCESSES": "2", "KD_THREADS": "2"}
    here = Desk(results=tmp_path / "here", environment=two)
    there = Desk(results=tmp_path / "there", environment={**testbed.environment, **two})
    for desk in (here, there):
        desk.results.mkdir()
    here.submit("--executor", "local", *LONGER)

    there.submit("--executor", "slurm", "--cluster", "testbed", *LONGER)
    folder = there.folder().stage(TEACHER)
    wait_until(lambda: (read_object(folder.progress) or {}).get("epoch", 0) > 2, "a few epochs")
    job_id = Journal(there.folder().journal).submissions()[TEACHER].job_id
    testbed.run("scancel", "--signal=USR2", job_id)
    wait_until(lambda: read_object(folder.result) is not None, "the stage to end", seconds=600)

    result = read_object(folder.result)
    assert result is not None
    assert (result["processes"], result["attempts"], result["job"]["restarts"]) == (2, 2, 1)
    assert weights(there.folder(), (1,)) == weights(here.folder(), (1,))
