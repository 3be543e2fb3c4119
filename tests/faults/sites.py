"""Runs of chain.yaml at a site: a testbed with the ways of such a site (cluster_env/testbed/variants).

Jobs that only have to be seen wait for a begin time; nothing of them runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.faults.trial import Trial
from tests.testbed import Testbed

LATER: Mapping[str, Any] = {"sbatch": {"begin": "now+1hour"}}
HELD = "JobHeldUser"
ALL_QUEUED = {"teacher/seed-1": "queued", "distilled/seed-1": "queued", "report": "queued"}

SiteTrial: TypeAlias = Callable[..., Trial]


def maker(testbed: Testbed, folder: Path) -> SiteTrial:
    """Return a function that makes trials, with a cache that knows no other cluster."""

    def make(
        name: str = "run", profile: Mapping[str, Any] = LATER, environment: Mapping[str, str] | None = None, **more: Any
    ) -> Trial:
        shell = {"XDG_CACHE_HOME": str(folder / "cache"), **(environment or {})}
        return Trial(name=name, folder=folder, testbed=testbed, profile=profile, environment=shell, **more)

    return make


def jobs(trial: Trial) -> dict[str, dict[str, Any]]:
    """Return the jobs of kd-status --json by name."""
    process = trial.desk.start("kd-status", trial.name, "--json")
    output, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 1), output
    return {job["job"]: job for job in json.loads(output)["jobs"]}


def phases(trial: Trial) -> dict[str, str]:
    return {name: job["phase"] for name, job in jobs(trial).items()}


def queue(testbed: Testbed, fields: str = "%i", cluster: str = "") -> list[str]:
    """Return a line for every job in the queue of this cluster, or of another, in order of their ids."""
    elsewhere = [f"--clusters={cluster}"] if cluster else []
    return testbed.run("squeue", "-h", "--array", "--sort=i", *elsewhere, "-o", fields).stdout.splitlines()


def sent_once_seen_and_cancelled(trial: Trial) -> None:
    """A submission, a second one, kd-status and kd-cancel all mean the same three jobs."""
    trial.submit()
    sent = queue(trial.testbed)
    assert len(sent) == 3
    assert phases(trial) == ALL_QUEUED
    assert sorted(job["job_id"] for job in jobs(trial).values()) == sent
    assert HELD not in queue(trial.testbed, "%r")
    trial.submit()
    assert queue(trial.testbed) == sent
    assert "3 cancelled" in trial.desk.run("kd-cancel", trial.name)
    assert queue(trial.testbed) == []
