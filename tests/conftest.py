"""Shared by all tests: real parts and what to say where one is missing.

KD_REQUIRE_EVERYTHING=1 (continuous integration) turns every "not installed here" into a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from tests import testbed as testbeds

StartTestbed: TypeAlias = Callable[..., testbeds.Testbed]

REPOSITORY = Path(__file__).resolve().parents[1]


def need(present: bool, message: str) -> None:
    """Skip the test with one clear line when a real part is missing; fail it where everything must be there."""
    if present:
        return
    if os.environ.get("KD_REQUIRE_EVERYTHING"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses a testbed, so that none is forgotten when they are run apart from the others."""
    for item in items:
        if "start_testbed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def start_testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartTestbed]:
    """A function that starts the testbed of a variant once for the session, shared by all xdist workers."""
    need(testbeds.available(), "no Slurm on this machine; `make testbed` installs one (Debian or Ubuntu, root)")
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with ExitStack() as running:

        @cache
        def started(variant: str = "") -> testbeds.Testbed:
            name = "-".join(["testbed", *filter(None, [variant[:20].replace(",", "-")])])
            return running.enter_context(testbeds.shared(folder / name, variant))

        yield started


@pytest.fixture(scope="session")
def running_testbed(start_testbed: StartTestbed) -> testbeds.Testbed:
    """A real Slurm, started once for the session and shared by all xdist workers, as the last test left it."""
    return start_testbed()


@pytest.fixture
def testbed(running_testbed: testbeds.Testbed) -> testbeds.Testbed:
    """The real Slurm with no job on it and every node idle: what partition is best depends on that."""
    running_testbed.clear()
    return running_testbed


@pytest.fixture
def site(request: pytest.FixtureRequest, start_testbed: StartTestbed) -> testbeds.Testbed:
    """A Slurm with the ways of a site: the variants that the test's ``@pytest.mark.site("lua,short")`` names."""
    marker = request.node.get_closest_marker("site")
    assert marker is not None, "name the site: @pytest.mark.site(VARIANTS)"
    found = start_testbed(*marker.args)
    found.clear()
    return found


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: $KD_DATA, or ``shared/data`` beside the checkout."""
    candidates = [Path(os.environ["KD_DATA"])] if os.environ.get("KD_DATA") else []
    candidates.append(REPOSITORY.parent / "shared" / "data")
    for candidate in candidates:
        if (candidate / "cifar10_images.tar.gz").is_file() and (candidate / "MNIST" / "raw").is_dir():
            return candidate
    need(False, "no real images: set KD_DATA to a folder with cifar10_images.tar.gz and MNIST/raw")
    raise AssertionError


HOSTILE_NAMES = ("with space", "quote'and\"quote", "$(touch pwned)", "; touch pwned", "ünïcode", "-dash")


@pytest.fixture(params=HOSTILE_NAMES)
def hostile_path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder whose name breaks careless shell code."""
    folder = tmp_path / str(request.param)
    folder.mkdir()
    return folder
