"""Disks that run full: scratch when a job begins and while it trains, and the results folder."""

from __future__ import annotations

from typing import Any

import pytest

from kd.rundir.bounded_json import read_object
from tests.faults.disks import disk
from tests.faults.trial import ONCE, TEACHER, Trial
from tests.slurm.launching import wait_until

pytestmark = pytest.mark.slurm

ROOMY = 3 << 30  # a job leaves a GiB of scratch free for its checkpoints
PAGE = 4096


def scratch_too_small(trial: Trial) -> Trial:
    with disk(trial.folder / "scratch", 1 << 20):
        trial = trial.with_(profile={"scratch": [f"{trial.folder}/scratch/$SLURM_JOB_ID"]})
        trial.submit()
        trial.wait_ended()
    return trial


@pytest.mark.fault(by=scratch_too_small)
def test_a_scratch_without_room_is_left_alone(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE
    assert "works in place: scratch" in trial.log(TEACHER)


def scratch_fills_up(trial: Trial) -> Trial:
    with disk(trial.folder / "scratch", ROOMY) as scratch:
        trial = trial.paced(1.0, scratch=[f"{trial.folder}/scratch/$SLURM_JOB_ID"])
        trial.submit()
        trial.wait_training(epoch=2)
        scratch.fill_up(PAGE)
        trial.wait_ended()
    return trial


@pytest.mark.fault(by=scratch_fills_up)
def test_a_scratch_that_fills_up_while_training_is_given_up_for_the_shared_disk(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE
    assert "scratch ran full: going on in place" in trial.log(TEACHER)


def fill_the_results_disk(trial: Trial) -> Trial:
    with disk(trial.results, ROOMY) as results:
        trial.submit()
        trial.wait_training(epoch=2)
        results.fill_up(PAGE)
        wait_until(lambda: trial.why(TEACHER).startswith("failed: "), "the training to give up")
        assert "disk is full" in trial.log(TEACHER) + trial.why(TEACHER)
        results.resize(ROOMY)
        trial.wait_ended()
        trial.submit()
        trial.wait_ended()
    return trial


def results_fill_up(trial: Trial) -> Trial:
    return fill_the_results_disk(trial.paced(1.0))


@pytest.mark.fault(by=results_fill_up)
def test_a_full_results_disk_is_named_and_costs_no_checkpoint(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    result = read_object(trial.stage(TEACHER).result)
    assert result is not None
    assert result["attempts"] >= 2


def results_fill_up_in_place(trial: Trial) -> Trial:
    return fill_the_results_disk(trial.paced(1.0, scratch=[]))


@pytest.mark.fault(by=results_fill_up_in_place)
def test_a_full_results_disk_without_scratch_is_named_too(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed


def no_room_to_submit(trial: Trial) -> Trial:
    with disk(trial.results, ROOMY) as results:
        results.fill_up(PAGE)
        said = trial.submit(code=2)
        assert "full" in said
        assert len(said.splitlines()) == 1, said
        results.resize(ROOMY)
        trial.submit()
        trial.wait_ended()
    return trial


@pytest.mark.fault(by=no_room_to_submit)
def test_a_submission_without_room_ends_in_one_line(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE
