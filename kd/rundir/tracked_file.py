"""tracked.json: how far the curves of a training are in other programs, so that a later attempt goes on with them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import StageFolder


class TrackedCurve(Struct, frozen=True, kw_only=True):
    """A curve: the id that the program knows it by, and the newest epoch in it (0: none yet)."""

    run_id: str
    epoch: int = 0


class Tracked(Struct, frozen=True, kw_only=True):
    """The curves of the training with this fingerprint, by program."""

    fingerprint: str
    curves: dict[str, TrackedCurve] = {}


def read_tracked(folder: StageFolder, fingerprint: str) -> Tracked:
    """Return what is tracked of a training; no curves where there is no such file, or it is of another training."""
    try:
        found = read_bounded_json(folder.tracked, Tracked)
    except (OSError, ValueError):
        found = None
    return found if found and found.fingerprint == fingerprint else Tracked(fingerprint=fingerprint)


def write_tracked(folder: StageFolder, tracked: Tracked) -> None:
    """Write tracked.json atomically."""
    write_json(folder.tracked, msgspec.to_builtins(tracked))
