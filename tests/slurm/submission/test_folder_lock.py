"""Waiting for a lock: who holds it is told, and another user's that nobody holds any more is not waited for."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from kd.errors import RunError
from slurm.submission import folder_lock
from slurm.submission.folder_lock import Holder, folder_locked, holder

NOBODY = 2**22 + 7  # larger than any process id
HERE = socket.gethostname()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock that this very process holds."""
    lock = tmp_path / ".lock"
    lock.write_text(f"{os.getpid()}\n{HERE}\n")
    return lock


def test_a_lock_is_held_and_freed(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with folder_locked(lock, 0, "busy"):
        found = holder(lock)
        assert found is not None
        assert (found.pid, found.host, found.ours, found.has_ended) == (os.getpid(), HERE, True, False)
    assert not lock.exists()


def test_the_holder_is_named(lock: Path) -> None:
    said = rf"^busy \(\w+, process {os.getpid()} on {HERE}\); if none is, delete .*\.lock$"
    with pytest.raises(RunError, match=said), folder_locked(lock, 0, "busy"):
        pass


def test_what_another_user_left_behind_is_not_waited_for(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = Holder(user="ann", pid=NOBODY, host=HERE, ours=False)
    monkeypatch.setattr(folder_lock, "holder", lambda _: left)
    monkeypatch.setattr(folder_lock, "LOOK_SECONDS", 0.1)
    begun = time.monotonic()
    said = r"left behind by ann's kd-submit .*: ask ann to delete it"
    with pytest.raises(RunError, match=said), folder_locked(lock, 60, "busy"):
        pass
    assert time.monotonic() - begun < 20


def test_another_users_lock_is_theirs_to_delete(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "holder", lambda _: Holder(user="ann", pid=7, host="elsewhere", ours=False))
    said = r"busy \(ann, process 7 on elsewhere\); if none is, ann can delete"
    with pytest.raises(RunError, match=said), folder_locked(lock, 0, "busy"):
        pass


def test_ones_own_leftover_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.write_text(f"{NOBODY}\n{HERE}\n")
    with folder_locked(lock, 20, "busy"):
        assert lock.exists()
