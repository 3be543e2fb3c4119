"""Trainings that are killed, requeued, preempted and cut short by their time limit end as undisturbed ones do."""

from __future__ import annotations

from typing import Any

import pytest

from kd.rundir.bounded_json import read_object
from tests.faults.trial import TEACHER, Trial
from tests.slurm.launching import kill, wait_until

pytestmark = pytest.mark.slurm


def kill_the_training(trial: Trial) -> Trial:
    trial = trial.paced(1.0)
    trial.submit()
    trial.wait_training(epoch=2)
    kill(trial.process())
    trial.wait_ended()
    assert "killed by signal 9" in trial.why(TEACHER)
    said = trial.submit()
    assert "submitted teacher/seed-1" in said
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=kill_the_training)
def test_a_training_killed_outright_continues_from_its_checkpoint(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    result = read_object(trial.stage(TEACHER).result)
    assert result is not None
    assert result["attempts"] == 2
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 2}, "the report also ran after the failure"


def requeue_by_hand(trial: Trial) -> Trial:
    trial = trial.paced(1.0)
    trial.submit()
    trial.wait_training(step=2)
    trial.testbed.run("scontrol", "requeue", trial.job_id(TEACHER))
    wait_until(lambda: "requeued" in trial.why(TEACHER), "kd-status to say so")
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=requeue_by_hand)
def test_a_job_requeued_in_the_middle_of_an_epoch_goes_on_there(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 1}


def hit_the_time_limit_twice(trial: Trial) -> Trial:
    trial = trial.paced(3.0).with_(options=("--set", "stages.teacher.resources={time: 1m}"))
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=hit_the_time_limit_twice)
def test_a_training_longer_than_its_time_limit_goes_on_by_requeue(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    starts = trial.starts()
    assert starts["teacher"] >= 3, "two limits, and the end"
    assert (starts["distilled"], starts["report"]) == (1, 1)
    assert "requeueing (restart 2 of 20)" in trial.log(TEACHER)


def preempt(trial: Trial) -> Trial:
    trial = trial.paced(1.0, partitions=[{"name": "low", "gpu_type": "v100"}], gpu_type_as="gres")
    trial = trial.with_(options=("--set", "stages.teacher.resources={gpus: 4, gpu_type: v100}"))
    trial.submit()
    trial.wait_training(step=2)
    urgent = trial.testbed.submit("sleep 3", "-p", "v100", "--gres=gpu:v100:1")
    wait_until(lambda: "PENDING" in trial.slurm_state(TEACHER), "the preemption")
    trial.testbed.wait_for(urgent)
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=preempt)
def test_a_preempted_training_goes_on_when_its_place_is_free_again(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 1}


def use_up_the_restarts(trial: Trial) -> Trial:
    trial = trial.paced(1.0, max_restarts=1)
    trial.submit()
    for attempt in (1, 2):
        trial.wait_training(attempt=attempt)
        trial.testbed.run("scancel", "--signal=USR2", trial.job_id(TEACHER))  # as before a time limit
        if attempt == 1:
            wait_until(lambda: trial.slurm_state(TEACHER) == "PENDING", "the requeue")
    trial.wait_ended()
    assert "after 1 restarts (max_restarts: 1)" in trial.why(TEACHER)
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=use_up_the_restarts)
def test_a_job_that_used_up_its_restarts_says_so_and_can_be_continued(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts()["teacher"] == 3
