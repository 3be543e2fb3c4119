"""Runs at sites with rules of their own, and what the queue and kd-status tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.faults.trial import Trial
from tests.testbed import Testbed

RULES = "strict,arrays,limits,accounts,gpus,short"
# Jobs that only have to be seen wait for a begin time; nothing of them runs.
LATER: Mapping[str, Any] = {"sbatch": {"begin": "now+1hour"}}

SiteTrial: TypeAlias = Callable[..., Trial]


@pytest.fixture
def at_site(site: Testbed, tmp_path: Path) -> SiteTrial:
    """A function that returns a run of chain.yaml at the test's site, with a cache that knows no other cluster."""
    return _maker(site, tmp_path)


@pytest.fixture
def here(testbed: Testbed, tmp_path: Path) -> SiteTrial:
    """The same on the plain testbed."""
    return _maker(testbed, tmp_path)


def _maker(testbed: Testbed, folder: Path) -> SiteTrial:
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


def queue(testbed: Testbed, fields: str = "%i") -> list[str]:
    """Return a line for every job in the queue, in order of their ids."""
    return testbed.run("squeue", "-h", "--array", "--sort=i", "-o", fields).stdout.splitlines()
