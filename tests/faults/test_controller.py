"""Slurm's controller goes away while jobs run and while kd-submit submits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import MakeTrial
from tests.faults.trial import ONCE, TEACHER, Trial, with_sbatch
from tests.slurm.launching import wait_until

pytestmark = pytest.mark.slurm


def at_the_second_sbatch(trial: Trial) -> tuple[Trial, Path]:
    """Return the trial in a shell whose second sbatch makes a file, and waits until it is gone."""
    gate = trial.folder / "gate"
    return with_sbatch(trial, 2, f"touch {gate}; while [ -e {gate} ]; do sleep 0.1; done"), gate


@pytest.fixture(scope="module")
def training(make_trial: MakeTrial, undisturbed: dict[str, Any]) -> Trial:
    """A run that trains all the while."""
    trial = make_trial("controller-trains").paced(4.0)
    trial.submit()
    trial.wait_training()
    return trial


def test_a_restart_of_the_controller_goes_by_unnoticed(
    make_trial: MakeTrial, training: Trial, undisturbed: dict[str, Any]
) -> None:
    trial, gate = at_the_second_sbatch(make_trial("controller-restarts"))
    shell = trial.start_submit()
    wait_until(gate.exists, "the second sbatch")
    trial.testbed.stop_slurmctld()
    gate.unlink()  # sbatch finds nobody, and tries again for some seconds
    trial.testbed.start_slurmctld()
    said, _ = shell.communicate(timeout=300)
    assert shell.returncode == 0, said
    assert "running" in training.why(TEACHER)
    trial.wait_ended()
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


def test_without_a_controller_nothing_is_lost_and_everything_is_said(
    make_trial: MakeTrial, training: Trial, undisturbed: dict[str, Any]
) -> None:
    trial, gate = at_the_second_sbatch(make_trial("controller-gone"))
    shell = trial.start_submit()
    wait_until(gate.exists, "the second sbatch")
    trial.testbed.stop_slurmctld()
    gate.unlink()
    seen = training.desk.start("kd-status", training.name)
    said, _ = shell.communicate(timeout=300)
    assert shell.returncode == 2
    assert "sbatch refused stage 'distilled'" in said
    assert "roll-back incomplete" in said
    seen_said, _ = seen.communicate(timeout=300)
    assert "Slurm is silent" in seen_said
    trial.testbed.start_slurmctld()
    assert "held: run kd-submit again to release it" in trial.why(TEACHER)
    trial.submit()
    for one in (trial, training):
        one.wait_ended()
        one.submit()  # Slurm may refuse a step in its first second: what that cost is sent again, and nothing else
        one.wait_ended()
        assert one.outcome() == undisturbed
        assert one.starts()["teacher"] == 1
