"""How fast one large file comes to scratch, beside ``cp``: the data set (hashed in the background) and a checkpoint.

Rounds are interleaved and medians taken, since machines are shared: read the ratios. "cold" drops the source from
the page cache first, as on a node that sees the data set for the first time. Run it as
``python -m benchmarks.staging``; prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import machine
from kd.hashed_copy import copy_hashed
from slurm.job.stage_dataset import stage_data

Way = Callable[[Path, Path], float]


def timed(copy: Callable[[Path, Path], object]) -> Way:
    """Return a way that takes the seconds of ``copy(source, folder)``."""

    def way(source: Path, folder: Path) -> float:
        begin = time.perf_counter()
        copy(source, folder)
        return time.perf_counter() - begin

    return way


def stage(source: Path, folder: Path, *, wait_for_digest: bool) -> float:
    """Stage a data set of one file; return the seconds until it can be read, or until its digest is known too."""
    begin = time.perf_counter()
    staged = stage_data(source, folder, 0, print)
    usable = time.perf_counter() - begin
    while not staged.digests:  # also when only `usable` counts: the next way must not share the machine with it
        time.sleep(0.0005)
    return time.perf_counter() - begin if wait_for_digest else usable


WAYS: dict[str, Way] = {
    "cp": timed(lambda source, folder: subprocess.run(["cp", source, folder], check=True)),
    "cp, then sha256sum": timed(
        lambda source, folder: subprocess.run(
            ["sh", "-c", 'cp "$1" "$2" && sha256sum "$2"/*', "sh", source, folder], check=True, capture_output=True
        )
    ),
    "**data set, until training can read it**": lambda source, folder: stage(source, folder, wait_for_digest=False),
    "data set, until its digest is known": lambda source, folder: stage(source, folder, wait_for_digest=True),
    "checkpoint to scratch, verified": timed(
        lambda source, folder: copy_hashed(source, folder / source.name, durable=False)
    ),
    "checkpoint to shared storage, hashed, fsync": timed(
        lambda source, folder: copy_hashed(source, folder / source.name)
    ),
}


def measure(source: Path, scratch: Path, rounds: int, *, cold: bool) -> dict[str, float]:
    """Return the median seconds of every way; the first round warms up and is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds + 1):
        for name, way in WAYS.items():
            folder = Path(tempfile.mkdtemp(dir=scratch))
            if cold:
                drop_from_cache(source)
            seconds[name].append(way(source, folder))
            shutil.rmtree(folder)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def drop_from_cache(path: Path) -> None:
    """Take a file's clean pages out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=170, help="size of the file (CIFAR-10's archive: 170)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--source", type=Path, default=Path(tempfile.gettempdir()), help="folder of the source")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()), help="folder to copy to")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=given.source) as shared,
        tempfile.TemporaryDirectory(dir=given.scratch) as scratch,
    ):
        source = Path(shared) / "images.tar"
        source.write_bytes(os.urandom(given.megabytes * 1_000_000))
        warm, cold = (measure(source, Path(scratch), given.rounds, cold=state) for state in (False, True))
    print(f"{machine()}; {given.megabytes} MB, medians of {given.rounds} rounds\n")
    print("| way | warm, ms | speed beside cp | cold, ms | speed beside cp |\n|---|---:|---:|---:|---:|")
    for name in WAYS:
        row = (f"{1e3 * state[name]:.0f} | {state['cp'] / state[name]:.2f}" for state in (warm, cold))
        print(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
