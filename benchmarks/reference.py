"""Runs a job file in full on this machine and keeps its small report under results/reference/.

``python -m benchmarks.reference NAME`` (``make reference NAME=…``): a file of jobs/reference, or a shipped pipeline.
Stopped, it goes on where it was. What is kept: report.json and report.md with their figures, job.yaml, machine.json
(the commit, the devices, the seconds of all jobs), and further.json (benchmarks.power).
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.power import further_comparisons
from kd.files import read_json, write_json
from kd.rundir.folders import RunFolder
from slurm.commands.submit import main as submit

# of where a run comes from, what says nothing outside the machine
OF_THIS_MACHINE = ("command", "executable", "user", "host", "uncommitted")
REPOSITORY = Path(__file__).resolve().parents[1]
# name -> the words of kd-submit: a job file, and what is set otherwise
JOBS: Mapping[str, tuple[str, ...]] = {
    "cnn": ("jobs/cnn_pipeline.yaml",),
    "vit": ("jobs/vit_pipeline.yaml",),
    "cifar10_5000": ("jobs/reference/cifar10.yaml",),
    "cifar10_20000": (
        "jobs/reference/cifar10.yaml",
        *("--set", "pipeline=reference_cifar10_20000", "--set", "data.train_subset=20500"),
        *("--set", "stages.alone.epochs=8", "--set", "stages.with.epochs=8"),
    ),
    "compression": ("jobs/reference/compression.yaml",),
    "hpmkd_mnist": ("jobs/reference/hpmkd_mnist.yaml",),
    "privileged": ("jobs/reference/privileged.yaml",),
}


def keep(run: RunFolder, folder: Path, job: Path, settings: Sequence[str] = ()) -> None:
    """Copy the report of a finished run to ``folder``, with its job file, what was set otherwise, where it was made."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    report = read_json(run.report_json)
    for family in report.values():
        for each in family["runs"]:
            each["provenance"] = {key: value for key, value in each["provenance"].items() if key not in OF_THIS_MACHINE}
    write_json(folder / "report.json", report)
    lines = (run.report / "report.md").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = (line for line in lines if not line.startswith(tuple(f"- {key}: " for key in OF_THIS_MACHINE)))
    (folder / "report.md").write_text("".join(kept), encoding="utf-8")
    write_json(folder / "further.json", {name: further_comparisons(family) for name, family in report.items()})
    shutil.copy(job, folder / "job.yaml")  # as written: the run's own copy has this machine's paths in it
    shutil.copytree(run.report / "figures", folder / "figures", ignore=shutil.ignore_patterns("*.svg"))
    write_json(folder / "machine.json", {"settings": list(settings), **machine(run)})


def machine(run: RunFolder) -> dict[str, Any]:
    """Return the commit, devices, torch and seconds of a run."""
    (family,) = read_json(run.report_json).values()
    results = [read_json(path) for path in sorted(run.path.glob("stages/*/seed-*/result.json"))]
    provenance: Mapping[str, Any] = read_json(run.provenance)
    return {
        "commit": provenance.get("commit"),
        "devices": sorted({result["device"] for result in results}),
        "torch": sorted({result["torch"] for result in results}),
        "seconds": sum(result["seconds"]["total"] for result in results),
        "jobs": len(results),
        "missing": len(family["missing"]),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for and keep its report, if everything is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(JOBS))
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results")
    parser.add_argument("--tiny", action="store_true", help="seconds of work, to see that it runs")
    parser.add_argument("--executor", choices=("local", "debug"), default="local")
    parser.add_argument("--jobs", metavar="N", type=int, default=0, help="local: processes at a time")
    options = parser.parse_args(argv)
    run = f"reference_{options.name}"
    words = ["--executor", options.executor, "--results", str(options.results), "--run", run]
    words += ["--tiny"] if options.tiny else []
    words += ["--jobs", str(options.jobs)] if options.jobs else []
    job, *settings = JOBS[options.name]
    if code := submit([str(REPOSITORY / job), *settings, *words]):
        return code
    kept = options.results / "reference" / options.name
    keep(RunFolder(options.results / run), kept, REPOSITORY / job, settings)
    print(kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
