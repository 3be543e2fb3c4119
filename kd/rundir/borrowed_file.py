"""borrowed.json as a value: which jobs of a run another run has done, whose that is, and what was found there.

A job that takes its teacher from another run must get the teacher that was there at the submission. Its result.json is
pinned by its SHA-256; that file names the SHA-256 of every artefact.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from kd.files import sha256_file, write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.rundir.names import JobName, Sha256
from kd.rundir.ownership import user_name


class Pin(Struct, frozen=True, kw_only=True):
    """One job: the lender's name, its owner's user id, the result's SHA-256 (None while it is not done)."""

    run: str
    user: int
    result: Sha256 | None

    @property
    def owner(self) -> str:
        """The owner's name, where it is another user; else nothing."""
        return "" if self.user == os.geteuid() else user_name(self.user)


def pin_of(lender: RunFolder, folder: StageFolder) -> Pin:
    """Return what is to be remembered of a lender's job. Raises OSError when its folder cannot be read."""
    done = sha256_file(folder.result) if folder.result.is_file() else None
    return Pin(run=lender.name, user=os.lstat(folder.path).st_uid, result=done)


def write_pins(run: RunFolder, pins: Mapping[JobKey, Pin | None]) -> None:
    """Add jobs that have just been taken over; those that are links no more, or within this run, are forgotten."""
    before = read_pins(run).items()
    kept = {name: pin for name, pin in before if run.stages.joinpath(*_parts(name)).is_symlink()}
    both = {**kept, **{str(key): pin for key, pin in pins.items()}}
    named = {name: pin for name, pin in both.items() if pin is not None}
    if named or run.borrowed.is_file():
        write_json(run.borrowed, msgspec.to_builtins(named))


def read_pins(run: RunFolder) -> dict[JobName, Pin]:
    """Return what is remembered, by the jobs' names; {} where nothing is."""
    try:
        return read_bounded_json(run.borrowed, dict[JobName, Pin])
    except (OSError, ValueError):
        return {}


def changed_since_pinned(folder: StageFolder, pins: Mapping[JobName, Pin] | None = None) -> str:
    """Return in words how a taken-over job is not the one that was taken over; nothing where it is, or is this run's.

    ``pins``: of its run, where they have been read.
    """
    if not folder.path.is_symlink():
        return ""
    pin = (read_pins(folder.run) if pins is None else pins).get(str(folder.key))
    try:
        user = os.stat(folder.result).st_uid
    except OSError:
        return ""  # not done yet, or gone: whoever needs it says so
    if user != (os.geteuid() if pin is None else pin.user):
        return f"its result belongs to {user_name(user)}, which it did not when it was taken over"
    if pin is not None and pin.result is not None and sha256_file(folder.result) != pin.result:
        return f"run {pin.run} has changed its result since it was taken over"
    return ""


def _parts(name: str) -> tuple[str, str]:
    stage, _, seed = name.partition("/")
    return stage, seed or "single"
