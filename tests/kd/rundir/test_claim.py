"""Claims: one attempt at a time, and the newest attempt of a job wins."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

import kd.rundir.claim
from kd.errors import RunError
from kd.files import read_json
from kd.rundir.claim import Claim, Claimant, Superseded, claim_stage
from kd.rundir.folders import StageFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stage folder."""
    return tmp_path


NOBODY = Claimant()
CONTEXT = multiprocessing.get_context("spawn")


def ignore(text: str) -> None:
    """Take no notice of what is said."""


def hold(path: Path, job: Claimant, held: Event, let_go: Event) -> None:
    """Hold a stage folder in a process of its own until told to let go or superseded."""
    with claim_stage(StageFolder(path), job, 1, None, ignore) as claim:
        held.set()
        while not let_go.wait(0.05) and not claim.superseded():
            pass


@pytest.fixture
def holder(folder: Path) -> Callable[[Claimant], int]:
    """Start a process that holds ``folder``; return its process id."""

    def start(job: Claimant) -> int:
        held, let_go = CONTEXT.Event(), CONTEXT.Event()
        process = CONTEXT.Process(target=hold, args=(folder, job, held, let_go), daemon=True)
        process.start()
        assert held.wait(60)
        assert process.pid is not None
        return process.pid

    return start


def test_a_second_process_is_told_who_holds_the_folder(folder: Path, holder: Callable[[Claimant], int]) -> None:
    pid = holder(NOBODY)
    said: list[str] = []
    claim = claim_stage(StageFolder(folder), NOBODY, 2, None, said.append, busy_seconds=0.3)
    with pytest.raises(RunError, match=rf"in use already: process {pid} on \S+ \(attempt 1\) trains here"), claim:
        pytest.fail("claimed twice")
    assert said == ["another process holds this folder; waiting up to 0 s for it to end"]
    assert read_json(folder / "attempt.json")["attempt"] == 1
    os.kill(pid, signal.SIGKILL)
    with claim_stage(StageFolder(folder), NOBODY, 3, None, ignore):
        assert read_json(folder / "attempt.json")["attempt"] == 3


def test_the_restarted_job_takes_over_from_its_older_self(
    folder: Path, holder: Callable[[Claimant], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder(Claimant(job_id="12_3"))
    monkeypatch.setattr(kd.rundir.claim, "TAKEOVER_SECONDS", 60.0)
    restarted = Claimant(job_id="12_3", restarts=1)
    with claim_stage(StageFolder(folder), restarted, 2, None, ignore, busy_seconds=0.0) as claim:
        assert claim.restarts == 1
        claim.require()


def test_a_superseded_attempt_notices(folder: Path) -> None:
    with claim_stage(StageFolder(folder), NOBODY, 1, None, ignore) as claim:
        assert not claim.superseded()
        claim.require()
        other = Claim(StageFolder(folder), "another token", 0)
        assert other.superseded()
        with pytest.raises(Superseded, match="newer attempt"):
            other.require()


def test_an_unreadable_record_supersedes_nobody(folder: Path) -> None:
    with claim_stage(StageFolder(folder), NOBODY, 1, None, ignore) as claim:
        (folder / "attempt.json").write_text("{")
        claim.require()
        (folder / "attempt.json").unlink()
        claim.require()


def test_restarts_are_counted_per_job(folder: Path) -> None:
    stage = StageFolder(folder)
    job = Claimant(job_id="7")  # SLURM_RESTART_COUNT may be missing: the own count goes on
    counts = []
    for attempt, identity in enumerate([job, job, Claimant(job_id="7", restarts=5), job, NOBODY]):
        with claim_stage(stage, identity, attempt, "f", ignore) as claim:
            counts.append(claim.restarts)
            assert (claim.previous.fingerprint if claim.previous else None) == ("f" if attempt else None)
    assert counts == [0, 1, 5, 6, 0]


def test_a_file_system_without_locks_is_named_and_does_not_stop_the_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    said: list[str] = []
    with claim_stage(StageFolder(folder), NOBODY, 1, None, said.append) as claim:
        claim.require()
    assert said == ["the file system has no locks: relying on attempt.json alone"]


def test_waiting_ends_when_the_holder_ends(folder: Path, holder: Callable[[Claimant], int]) -> None:
    pid = holder(NOBODY)
    os.kill(pid, signal.SIGKILL)
    begin = time.monotonic()
    with claim_stage(StageFolder(folder), NOBODY, 2, None, ignore, busy_seconds=60.0):
        assert time.monotonic() - begin < 60.0


def test_nobody_else_may_lock_a_stage(folder: Path) -> None:
    stage = StageFolder(folder)
    stage.lock.touch(mode=0o644)
    with claim_stage(stage, Claimant(), 1, None, ignore):
        assert stage.lock.stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_place_of_the_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    stage = StageFolder(folder)
    stage.lock.unlink(missing_ok=True)
    stage.lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), claim_stage(stage, Claimant(), 1, None, ignore):
        pass
    assert not (tmp_path / "elsewhere").exists()
