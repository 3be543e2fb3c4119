"""J: whole job files on real images, as a person runs them: the lab's pipeline at five epochs, CIFAR-10 in seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.gpu_check.record import GPU, Check, Found, Record
from kd.rundir.folders import RunFolder
from kd.rundir.stage_result import StageResult, load_result

REPOSITORY = Path(__file__).resolve().parents[2]
SUBMIT = "import sys; from slurm.commands.submit import main; sys.exit(main())"
LEAST_SECONDS = 60.0


def check_pipelines(record: Record) -> None:
    """J: run both; ``KD_DATA/cifar10`` is the folder of the images, except with ``--small``."""
    five = ("--epochs", "5", "--seeds", "42", "--set", "stages.*.compile=graph")
    for name, arguments in {"cnn_pipeline": five, "fast_cifar10": ("--seeds", "1")}.items():
        record.check(f"J {name}", _run(name, arguments, record.small), least=0 if record.small else LEAST_SECONDS)


def _run(name: str, arguments: tuple[str, ...], small: bool) -> Check:
    def work() -> Found:
        if not (small or os.environ.get("KD_DATA")):
            return {"left out": "KD_DATA names no folder of data sets"}
        with tempfile.TemporaryDirectory() as results:
            job = [f"jobs/{name}.yaml", "--executor", "debug", "--run", name, "--results", results, *arguments]
            said = subprocess.run(
                [sys.executable, "-c", SUBMIT, *job, *(["--tiny"] if small else [])],
                cwd=REPOSITORY,
                env={"KD_DATA": results, **os.environ},
                capture_output=True,
                text=True,
            )
            assert said.returncode == 0, said.stderr[-300:]
            folders = RunFolder(Path(results, name)).job_folders()
            stages = {stage: load_result(found[0]) for stage, found in folders.items() if stage != "report"}
            return {stage: _of(result) for stage, result in stages.items()}

    return work


def _of(result: StageResult) -> Found:
    assert not GPU or (result.device or "").startswith("cuda: "), result.device
    return {
        "test_accuracy": result.test_accuracy,
        "seconds": result.seconds and round(result.seconds.train or 0, 2),
        "images_per_second": result.images_per_second and round(result.images_per_second),
        "gpu_memory_mb": result.gpu_memory_mb and round(result.gpu_memory_mb),
        "steps": result.steps,
    }
