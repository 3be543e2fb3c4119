"""What kd learns from real images on a processor, by its own job files (benchmarks/jobs): accuracies, not times.

``python -m benchmarks.accuracy mnist_accuracy`` (or ``cifar10_subset``, ``hpmkd_mnist_small``) runs one in this process
and prints Markdown. The data are $KD_DATA, or ``shared/data`` beside the checkout: MNIST/raw and an archive or folder
of CIFAR-10.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.timing import machine
from kd.files import read_json
from kd.report.formatting import count, duration, mean_sd
from slurm.commands.submit import main as submit

REPOSITORY = Path(__file__).resolve().parents[1]
JOBS = REPOSITORY / "benchmarks" / "jobs"


def rows(family: Mapping[str, Any], run: Path) -> Iterator[str]:
    """Yield the table of a run's stages and what the comparisons say."""
    yield "| stage | model | parameters | epochs | test accuracy % by seed | mean ± sd | images/s | time per job |"
    yield "|---|---|---:|---:|---|---:|---:|---:|"
    for name, stage in family["stages"].items():
        results = [read_json(path) for path in sorted((run / "stages" / name).glob("seed-*/result.json"))]
        values = ", ".join(f"{100 * value:.2f}" for value in stage["values"].values())
        cells = (name, stage["model"], count(stage["parameters"]), stage["epochs"], values)
        rate = f"{median(result['images_per_second'] for result in results):,.0f}"
        cells += (mean_sd(stage["mean"], stage["sd"]), rate, duration(stage["seconds"]["mean"]))
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""
    yield from (comparison["verdict"] for comparison in family["comparisons"])


def main() -> int:
    """Run the job file that was asked for and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(path.stem for path in JOBS.glob("*.yaml")))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of kd-submit")
    options = parser.parse_args()
    os.environ.setdefault("KD_DATA", str(REPOSITORY.parent / "shared" / "data"))
    overrides = [word for each in options.set for word in ("--set", each)]
    with tempfile.TemporaryDirectory() as results:
        words = ["--executor", "debug", "--results", results, "--run", "it", *overrides]
        if code := submit([str(JOBS / f"{options.name}.yaml"), *words]):
            return code
        run = Path(results, "it")
        (family,) = read_json(run / "report.json").values()
        print(f"\n{machine()}\n")
        print("\n".join(rows(family, run)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
