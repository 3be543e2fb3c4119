"""Nodes that die: their jobs go on elsewhere, and a process that survived its node's loss spoils nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.trial import TEACHER, Trial
from tests.slurm.launching import wait_until

pytestmark = pytest.mark.slurm


def lose_the_node(trial: Trial) -> Trial:
    """Kill the node's daemon and give the node up: its training runs on, unheard, while Slurm restarts the job."""
    trial = trial.paced(4.0, 0.0)
    trial.submit()
    trial.wait_training(epoch=2)
    node = trial.node(TEACHER)
    trial.testbed.kill_slurmd(node)
    try:
        trial.testbed.set_node(node, "down")  # as Slurm does by itself, 40 s later
        wait_until(lambda: "requeued" in trial.why(TEACHER) or "running" in trial.why(TEACHER), "kd-status to say so")
        wait_until(lambda: trial.slurm_state(TEACHER) == "RUNNING", "the restart")
        assert trial.node(TEACHER) != node
        trial.wait_ended()
    finally:
        trial.testbed.start_slurmd(node)
    return trial


@pytest.mark.fault(by=lose_the_node)
def test_a_lost_node_s_training_goes_on_elsewhere_and_its_old_process_gives_way(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 1}
    assert "a newer attempt of this job has taken over; this one stops" in trial.log(TEACHER)


def take_the_node_down(trial: Trial) -> Trial:
    trial = trial.paced(1.0, 0.0, partitions=[{"name": "v100", "gpu_type": "v100"}])
    trial.submit()
    trial.wait_training(epoch=2)
    trial.testbed.set_node("gpu3", "down")
    wait_until(lambda: trial.slurm_state(TEACHER) == "PENDING", "the requeue")
    assert "queued: " in trial.why(TEACHER)
    trial.testbed.set_node("gpu3", "resume")
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=take_the_node_down)
def test_a_training_whose_node_is_taken_down_starts_again_from_its_checkpoint(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 1}


def fail_for_good(trial: Trial) -> Trial:
    """A site that requeues nothing: the job ends with its node, and kd-submit sends it again."""
    trial = trial.paced(1.0, requeue=False, partitions=[{"name": "markov_gpu"}], sbatch={"nodelist": "gpu2"})
    trial = trial.with_(profile={**trial.profile, "cpu_partition": "markov_gpu"})
    trial.submit()
    trial.wait_training(epoch=2)
    trial.testbed.run("scontrol", "update", f"jobid={trial.job_id(TEACHER)}", "requeue=0")
    trial.testbed.set_node("gpu2", "down")
    wait_until(lambda: "its node failed" in trial.why(TEACHER), "kd-status to say so")
    trial.testbed.set_node("gpu2", "resume")
    trial.wait_ended()
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=fail_for_good)
def test_without_requeue_a_failed_node_is_named_and_the_next_submission_goes_on(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts()["teacher"] == 2
