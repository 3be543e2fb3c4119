"""Sites without accounting, and nodes whose clocks are wrong by hours."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from kd.rundir.bounded_json import read_object
from tests.faults.trial import TEACHER, Trial
from tests.slurm.launching import kill

pytestmark = pytest.mark.slurm

HOURS = 7200


def without_accounting(trial: Trial) -> Trial:
    """No sacct, and a queue that forgets what has ended at once."""
    programs = trial.folder / "programs"
    programs.mkdir()
    squeue = f'#!/bin/bash\nexec {shutil.which("squeue")} "${{@/--states=all/--states=PD,R,CG}}"\n'
    sacct = "#!/bin/bash\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n"
    for name, script in (("squeue", squeue), ("sacct", sacct)):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    trial = trial.paced(1.0).with_(environment={"PATH": f"{programs}:{os.environ['PATH']}"})
    trial.submit()
    trial.wait_training(epoch=2)
    assert "waits for teacher seed 1 (running)" in trial.desk.run("kd-status", trial.name)
    kill(trial.process())
    trial.wait_ended()
    assert "failed: ended without a result" in trial.why(TEACHER)
    said = trial.submit()
    assert "submitted teacher/seed-1" in said
    trial.wait_ended()
    assert "nothing to submit" in trial.submit()
    return trial


def sacct_fails(trial: Trial) -> Trial:
    return without_accounting(trial)


@pytest.mark.fault(by=sacct_fails)
def test_a_sacct_that_fails_costs_a_reason_and_nothing_else(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts()["teacher"] == 2


def profile_without_accounting(trial: Trial) -> Trial:
    return without_accounting(trial.with_(profile={"accounting": False}))


@pytest.mark.fault(by=profile_without_accounting)
def test_a_site_without_accounting_is_served_too(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts()["teacher"] == 2


def skew_the_clocks(trial: Trial) -> Trial:
    """The first start is on a node that is two hours ahead, the second on one that is two hours late."""
    trial = trial.paced(1.0, environment={"KD_TEST_CLOCK": f"{HOURS} -{HOURS}"})
    trial.submit()
    trial.wait_training(epoch=2)
    assert trial.why(TEACHER) == "running: "
    trial.testbed.run("scontrol", "requeue", trial.job_id(TEACHER))
    trial.wait_training(attempt=2)
    assert trial.why(TEACHER) == "running: "
    trial.wait_ended()
    assert "nothing to submit" in trial.submit()
    return trial


@pytest.mark.fault(by=skew_the_clocks)
def test_clocks_that_are_hours_apart_confuse_nobody(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 1, "report": 1}
    result = read_object(trial.stage(TEACHER).result)
    assert result is not None
    assert 0 < result["seconds"]["total"] < HOURS
