"""A job loads code and pickles that only its user can have written, and the code that was submitted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kd.rundir.folders import RunFolder
from slurm.submission.code_checks import PIN, ownership_lines, pin_code, pin_code_again


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "it's a run")
    made.submitted("teacher").mkdir(parents=True)
    made.code.write_bytes(b"as submitted")
    pin_code(made, [made.submitted("teacher")])
    return made


def answer(run: RunFolder) -> tuple[int, str]:
    lines = "\n".join(["sleep() { :; }", *ownership_lines(run, run.submitted("teacher")), "echo loads"])
    done = subprocess.run(["bash", "-ec", lines], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_job_loads_what_only_its_user_can_write(run: RunFolder) -> None:
    assert answer(run) == (0, "loads\n")


def _open_to_all(path: Path) -> None:
    path.chmod(0o777)


def _give_away(path: Path) -> None:
    os.chown(path, 65534, -1, follow_symlinks=False)


@pytest.mark.parametrize("harm", [_open_to_all, _give_away])
@pytest.mark.parametrize("part", [".", "code.zip", "submitted", "submitted/teacher", f"submitted/teacher/{PIN}"])
def test_a_job_loads_nothing_that_others_could_write(run: RunFolder, part: str, harm: Callable[[Path], None]) -> None:
    harm(run.path / part)
    code, printed = answer(run)
    assert code == 1
    assert "refusing to load anything" in printed
    assert "loads" not in printed.split()


def test_a_folder_above_may_be_open_to_all_with_the_sticky_bit_only(run: RunFolder) -> None:
    run.path.parent.chmod(0o1777)
    assert answer(run)[0] == 0
    run.path.parent.chmod(0o777)
    assert answer(run)[0] == 1


def test_code_that_was_exchanged_after_the_submission_is_not_loaded(run: RunFolder) -> None:
    run.code.write_bytes(b"somebody else's")
    assert answer(run) == (1, f"kd: {PIN} does not match code.zip: it was changed after the submission\n")
    pin_code_again(run)
    assert answer(run)[0] == 0


def test_a_job_whose_code_is_gone_loads_nothing(run: RunFolder) -> None:
    run.code.unlink()
    assert answer(run)[0] == 1
