"""Distillation beside its peers: torchdistill's own pipeline, and loops written by hand.

All ways train the same student from the same teacher on the same pictures, each in a process of its own, one thread, in
one environment that this script makes (torchdistill from PyPI, with the torch that it brings). The ways take turns;
processor time is counted, which a busy machine disturbs less. Prints Markdown:
``python -m benchmarks.peers --environment FOLDER``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from benchmarks.timing import machine

REPOSITORY = Path(__file__).resolve().parents[1]
BASE = "torchdistill"
WAYS = (
    BASE,
    "plain loop",
    "careful loop, bf16",
    "kd online, fp32",
    "kd online, bf16",
    "kd cached, fp32",
    "kd cached, bf16",
)
PAIRS = {"resnet8": "resnet18", "simplecnn_mnist_50k": "mobilenet_v2"}


def made_environment(folder: Path) -> Path:
    """Return the Python of an environment that holds torchdistill; make it where there is none."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "torchdistill", "safetensors"], check=True)
    return python


class Way:
    """A process that distils in one way, and waits between its turns."""

    def __init__(self, python: Path, name: str, student: str, batch: int) -> None:
        command = [python, "-m", "benchmarks.peer_ways", name, student, PAIRS[student], "--batch", str(batch)]
        self.name, self.seconds, self.peak = name, list[float](), 0
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "KD_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        """Wait until the way is set up. Exits when it ended instead."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        sys.exit(f"{self.name} ended before its first step")

    def turn(self, steps: int, *, count: bool) -> None:
        """Do so many steps; ``count`` them or not."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        self.peak = found["peak"]
        if count:
            self.seconds.append(found["seconds"])

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def compare(python: Path, student: str, *, batch: int, steps: int, rounds: int) -> Sequence[str]:
    """Return the table's rows of one student: ratios of speed to the peer's, round by round, and of peak memory."""
    ways = [Way(python, name, student, batch) for name in WAYS]
    for way in ways:
        way.wait_ready()
    for number in range(rounds + 1):
        for way in ways:
            way.turn(steps, count=number > 0)
    for way in ways:
        way.end()
    base = next(way for way in ways if way.name == BASE)
    lines = []
    for way in ways:
        ratios = sorted(theirs / own for own, theirs in zip(way.seconds, base.seconds, strict=True))
        rate = steps * batch / statistics.median(way.seconds)
        lines.append(
            f"| {student} | {way.name} | {rate:,.0f} | {statistics.median(ratios):.2f} | "
            f"{ratios[0]:.2f} to {ratios[-1]:.2f} | {way.peak / base.peak:.2f} |"
        )
    return lines


def main() -> None:
    """Compare the students that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, required=True, help="where torchdistill is, or is to be, installed")
    parser.add_argument("--students", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=2, help="per turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    python = made_environment(options.environment)
    print(f"{machine()}; batch {options.batch}, {options.rounds} rounds of {options.steps} steps, processor time\n")
    print("| student | way | images/s | speed / torchdistill, median | range | peak memory / torchdistill |")
    print("|---|---|---:|---:|---|---:|")
    for student in options.students:
        rows = compare(python, student, batch=options.batch, steps=options.steps, rounds=options.rounds)
        print("\n".join(rows), flush=True)


if __name__ == "__main__":
    main()
