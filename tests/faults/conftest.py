"""Fixtures of the fault suite: runs to disturb, the undisturbed one, and faults that happen side by side.

A test that is marked ``fault(by=function)`` gets, as ``trial``, the run that the function has disturbed. The functions
of a module all start with its first test, in threads: most of their time is waiting for Slurm.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import pytest

from tests.faults.trial import Trial
from tests.testbed import Testbed

AT_ONCE = 6  # runs in flight: more would only wait for processors
PATIENCE_SECONDS = 800

Fault: TypeAlias = Callable[[Trial], Trial]
MakeTrial: TypeAlias = Callable[[str], Trial]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault(by): the test looks at the run that this function has disturbed")


@pytest.fixture(scope="session")
def make_trial(running_testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> MakeTrial:
    """A function that returns a new run of chain.yaml by name, in a results folder of its own."""
    return lambda name: Trial(name=name, folder=tmp_path_factory.mktemp(name), testbed=running_testbed)


@pytest.fixture(scope="session")
def undisturbed(make_trial: MakeTrial) -> dict[str, Any]:
    """What comes out of chain.yaml when nothing goes wrong."""
    trial = make_trial("undisturbed")
    trial.submit()
    trial.wait_ended()
    return trial.outcome()


@pytest.fixture(scope="module")
def in_flight(
    request: pytest.FixtureRequest, make_trial: MakeTrial, undisturbed: dict[str, Any]
) -> Iterator[dict[str, Future[Trial]]]:
    """The faults of this module's selected tests, happening, by the tests' names."""
    tests = [item for item in request.session.items if getattr(item, "module", None) is request.module]
    faults = {test.name: marker.kwargs["by"] for test in tests if (marker := test.get_closest_marker("fault"))}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {test: pool.submit(fault, make_trial(_run_name(test))) for test, fault in faults.items()}


@pytest.fixture
def trial(request: pytest.FixtureRequest, in_flight: dict[str, Future[Trial]]) -> Trial:
    """The run that this test's fault has disturbed, at its end."""
    return in_flight[request.node.name].result(timeout=PATIENCE_SECONDS)


def _run_name(test: str) -> str:
    return re.sub(r"[^a-z]+", "-", test.removeprefix("test_").lower()).strip("-")[-60:].strip("-")
