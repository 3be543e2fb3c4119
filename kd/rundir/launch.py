"""launch.json as a value: what a job must know of the place it runs in."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kd.errors import RunError
from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import RunFolder

DEFAULT_RESTARTS = 20


class LaunchFile(Struct, frozen=True, kw_only=True):
    """Which executor and cluster; where a node may have scratch space; how often a job may hand over to itself."""

    executor: str | None = None
    cluster: str | None = None
    scratch: tuple[str, ...] = ()
    require_gpus: bool = False  # a job that was granted fewer GPUs than it asked for ends at once
    max_restarts: int = DEFAULT_RESTARTS
    submit_tmpdir: str | None = None  # TMPDIR where kd-submit ran: on a node, the same name is not the job's own


def write_launch(run: RunFolder, launch: LaunchFile) -> None:
    """Write launch.json atomically."""
    write_json(run.launch, msgspec.to_builtins(launch))


def read_launch(run: RunFolder) -> LaunchFile:
    """Return how a run is executed; the defaults where no launch.json is there. Raises RunError when it is damaged."""
    try:
        return read_bounded_json(run.launch, LaunchFile)
    except FileNotFoundError:
        return LaunchFile()
    except (OSError, ValueError) as error:
        raise RunError(f"{run.launch}: damaged ({error}); submit the run again") from None
