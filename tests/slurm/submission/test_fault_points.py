"""A fault point kills when it is named, and does nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from slurm.submission.fault_points import VARIABLE
from tests.conftest import REPOSITORY

PROGRAM = "from slurm.submission.fault_points import fault_point\nfault_point('here', 'teacher')\nprint('alive')"


@pytest.mark.parametrize(
    ("armed", "killed"), [("here", True), ("here teacher", True), ("here report", False), ("", False)]
)
def test_a_point_kills_only_when_it_is_named(armed: str, killed: bool) -> None:
    environment = {**os.environ, VARIABLE: armed, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == ((-signal.SIGKILL, "") if killed else (0, "alive\n"))
