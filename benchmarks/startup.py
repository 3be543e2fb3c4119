"""How long the commands of a login node take, and what a submission costs beside raw sbatch.

    python -m benchmarks.startup [--rounds 15]

With Slurm (`make testbed`, SLURM_CONF set) the submission is measured too: the same scripts, held, through kd and raw.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.timing import interleaved, machine, table

JOB = "jobs/cnn_pipeline.yaml"
REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"{machine()}; medians of {rounds} interleaved runs\n")
    with tempfile.TemporaryDirectory() as folder:
        print(commands(Path(folder), rounds))
        if shutil.which("sbatch") and os.environ.get("SLURM_CONF"):
            print(f"\n{submissions(Path(folder), rounds)}")
        else:
            print("\nno Slurm here: submission not measured (make testbed, then export SLURM_CONF)")


def commands(folder: Path, rounds: int) -> str:
    """Return the table of start-up times."""
    results = ["--results", str(folder)]
    kd("kd-submit", JOB, "--tiny", "--executor", "debug", "--only", "baseline", "--seeds", "1", *results)
    ways: dict[str, Callable[[], object]] = {
        "python -c pass": lambda: python("-c", "pass"),
        'python -c "import yaml, submitit"': lambda: python("-c", "import yaml, submitit"),
        "kd-submit --dry-run": lambda: kd("kd-submit", JOB, "--cluster", "markov", "--dry-run", *results),
        "kd-status": lambda: kd("kd-status", "cnn_pipeline-tiny", *results),
    }
    return table(interleaved(ways, rounds), base="python -c pass")


def submissions(folder: Path, rounds: int) -> str:
    """Return the table of submission times: four requests (13 jobs of 4 stages... as the job file says)."""
    numbers = iter(range(10_000))
    raw_scripts = _scripts(folder)

    def through_kd() -> None:
        name = f"bench-{next(numbers)}"
        kd("kd-submit", JOB, "--tiny", "--cluster", "testbed", "--run", name, "--results", str(folder))
        kd("kd-cancel", name, "--results", str(folder))

    def raw() -> None:
        ids = [
            subprocess.run(["sbatch", "--parsable", path], capture_output=True, text=True, check=True).stdout.strip()
            for path in raw_scripts
        ]
        subprocess.run(["scontrol", "release", ",".join(ids)], check=True)
        subprocess.run(["scancel", *ids], check=True)

    ways: dict[str, Callable[[], object]] = {
        "raw sbatch of the same scripts": raw,
        "kd-submit and kd-cancel": through_kd,
    }
    return table(interleaved(ways, rounds), base="raw sbatch of the same scripts")


def _scripts(folder: Path) -> list[str]:
    """Write the dry run's scripts to files, without their dependencies (raw ids are not known yet)."""
    import json

    shown = kd("kd-submit", JOB, "--tiny", "--cluster", "testbed", "--dry-run", "--json", "--results", str(folder))
    paths = []
    for request in json.loads(shown)["requests"]:
        path = folder / f"{request['request']}.sh"
        lines = [line for line in request["script"].splitlines() if "--dependency" not in line]
        path.write_text("\n".join(line.replace(str(folder), "/tmp") for line in lines) + "\n")
        paths.append(str(path))
    return paths


def kd(command: str, *arguments: str) -> str:
    """Run one of kd's commands and return what it printed."""
    program = Path(sys.executable).with_name(command)
    environment = {**os.environ, "KD_DATA": os.environ.get("KD_DATA", "/nowhere")}
    answer = subprocess.run(
        [program, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise SystemExit(f"{command} {' '.join(arguments)}: {answer.stderr}")
    return answer.stdout


def python(*arguments: str) -> None:
    """Run this Python."""
    subprocess.run([sys.executable, *arguments], check=True)


if __name__ == "__main__":
    main()
