"""The testbed of the test session: a real Slurm, started once and shared by all xdist workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import testbed as testbeds


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testbeds.Testbed]:
    """Skips where Slurm is not installed (`make testbed` installs it)."""
    if not testbeds.available():
        pytest.skip("Slurm is not installed; run: make testbed")
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with testbeds.shared(folder / "testbed") as running:
        yield running
