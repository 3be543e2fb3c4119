"""Fabricates run folders as the launcher and the jobs would leave them, small enough to read. Trains nothing."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd.files import write_json
from kd.report.collect import collect
from kd.report.report_value import report_content
from kd.rundir.folders import JobKey, RunFolder, StageFolder

Seeds = Sequence[int | None]


class RunBuilder:
    """A run folder in the making: declare stages, then say what became of each job."""

    def __init__(self, path: Path, *, pipeline: str = "cnn") -> None:
        self.run = RunFolder(path)
        self.pipeline = pipeline
        self.jobs: dict[JobKey, dict[str, Any]] = {}

    def stage(
        self,
        name: str,
        role: str | None,
        seeds: Seeds,
        *,
        model: str = "resnet8",
        epochs: int = 3,
        teacher: str | None = None,
        parents: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        kind: str | None = None,
    ) -> RunBuilder:
        """Plan one job per seed, with its spec.json; ``parents`` are the stages it goes on from, besides a teacher."""
        stages = {**({} if teacher is None else {"teacher": teacher}), **(parents or {})}
        for seed in seeds:
            key = JobKey(name, seed)
            job = {
                "stage": name,
                "seed": seed,
                "kind": kind or ("distill" if teacher else "train"),
                "role": role,
                "parents": {reference: {"stage": stage, "seed": seed} for reference, stage in stages.items()},
                "fingerprint": hashlib.sha256(f"{self.pipeline} {key} {model} {epochs}".encode()).hexdigest()[:32],
                "resources": NEEDS,
            }
            self.jobs[key] = job
            own = training_settings(model, epochs) if job["kind"] in ("train", "distill") else {}
            spec = {
                **job,
                "format": 1,
                "pipeline": self.pipeline,
                "parents": {
                    reference: {"stage": stage, "seed": seed, "fingerprint": "0"} for reference, stage in stages.items()
                },
                "data": {
                    "name": "digits", "root": str(self.run.path), "arguments": {}, "validation": 100,
                    "train_subset": None, "test_subset": None,
                },
                "settings": {**own, **(settings or {})},
            }  # fmt: skip
            write_json(self.folder(name, seed).spec, spec)
        return self.write_plan()

    def report_job(self) -> RunBuilder:
        """Plan the report's own job."""
        key = JobKey("report", None)
        job = {"stage": "report", "seed": None, "kind": "report", "role": None, "parents": {}, "fingerprint": "report"}
        self.jobs[key] = {**job, "resources": {**NEEDS, "gpus": 0}}
        return self.write_plan()

    def write_plan(self, **changes: Any) -> RunBuilder:
        """Write plan.json."""
        plan = {
            "format": 1,
            "pipeline": self.pipeline,
            "about": "a small run",
            "seeds": sorted({key.seed for key in self.jobs if key.seed is not None}),
            "jobs": list(self.jobs.values()),
        }
        write_json(self.run.plan, plan | changes)
        return self

    def folder(self, stage: str, seed: int | None) -> StageFolder:
        """Return the folder of one job."""
        return self.run.stage(JobKey(stage, seed))

    def finish(self, stage: str, accuracies: Mapping[int | None, float], **changes: Any) -> RunBuilder:
        """Leave the files of finished jobs: weights, metrics.csv and a result with this test accuracy per seed."""
        for seed, accuracy in accuracies.items():
            folder = self.folder(stage, seed)
            epochs = int(changes.get("epochs", 3))
            folder.checkpoint.mkdir(parents=True, exist_ok=True)
            weights = folder.checkpoint / "best.safetensors"
            weights.write_bytes(f"{stage} {seed}".encode())
            write_metrics(folder.metrics, [accuracy - 0.05 * (epochs - e) / epochs for e in range(1, epochs + 1)])
            job = self.jobs[JobKey(stage, seed)]
            result = identity(job, self.pipeline) | result_numbers(accuracy, epochs) | changes
            result["files"] = {"checkpoint/best.safetensors": hashlib.sha256(weights.read_bytes()).hexdigest()}
            write_json(folder.result, result)
        return self

    def fail(self, stage: str, seed: int, message: str, *, time: float = 1000.0) -> RunBuilder:
        """Leave the failure.json of a job."""
        failure = {"error": "DataError", "message": message, "traceback": "…", "attempt": 1, "time": time}
        write_json(self.folder(stage, seed).failure, failure)
        return self

    def run_until(self, stage: str, seed: int, epoch: int, *, updated: float = 0.0) -> RunBuilder:
        """Leave the progress.json of a job that was at this epoch."""
        progress = {"epoch": epoch, "epochs": 3, "host": "node1", "updated": updated}
        write_json(self.folder(stage, seed).progress, progress)
        return self


NEEDS = {"gpus": 1, "cpus": 4, "memory_mb": 16384, "minutes": 60, "gpu_type": None}


def identity(job: Mapping[str, Any], pipeline: str = "cnn") -> dict[str, Any]:
    """Return the part of a result.json that every stage kind writes."""
    own = {key: job[key] for key in ("stage", "seed", "kind", "role", "fingerprint")}
    return {"format": 1, **own, "pipeline": pipeline, "parents": {}, "files": {}, "job": {}, "finished": 2000.0}


def training_settings(model: str, epochs: int) -> dict[str, Any]:
    """Return the settings of a training, as spec.json has them."""
    return {
        "model": {"name": model, "arguments": {}},
        "epochs": epochs,
        "batch_size": 32,
        "optimizer": {"name": "sgd", "arguments": {"lr": 0.1}},
        "schedule": {"name": "constant", "arguments": {}},
        "loss": {"ce": {"weight": 1.0, "arguments": {}}},
        "augment": {"crop": 0, "flip": False},
        "precision": "auto",
        "deterministic": False,
        "compile": False,
        "checkpoint_every": 1,
    }


def collected(paths: Sequence[Path], base: Path) -> dict[str, Any]:
    """Return the content of report.json."""
    return report_content(collect(paths, base))


def result_numbers(accuracy: float, epochs: int) -> dict[str, Any]:
    """Return the measured part of a result.json."""
    best = {"accuracy": accuracy, "precision": accuracy, "recall": accuracy, "f1_score": accuracy, "loss": 0.5}
    staging = {"seconds_in": 0.5, "bytes_in": 1000, "seconds_out": 0.25, "bytes_out": 200}
    last = {**best, "accuracy": accuracy - 0.01}
    return {
        "format": 1,
        "epochs": epochs,
        "best_epoch": epochs - 1,
        "parameters": 78042,
        "validation": {"best": {**best, "accuracy": accuracy + 0.01}, "last": last},
        "test": {"best": best, "last": last},
        "seconds": {"total": 60.0, "train": 50.0},
        "images_per_second": 9000.0,
        "device": "cpu: test",
        "data": {"name": "digits", "train": 1000, "validation": 100, "test": 400, "split_digest": "abc"},
        "attempts": 1,
        "job": {"job_id": "7_0", "host": "node1", "staging": staging},
        "finished": 2000.0,
    }


def write_metrics(path: Path, accuracies: Sequence[float]) -> None:
    """Write a metrics.csv with these validation accuracies, from epoch 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "val_accuracy"])
        writer.writerows([epoch, value] for epoch, value in enumerate(accuracies, start=1))


def three_stages(path: Path, seeds: Seeds, *, pipeline: str = "cnn", **settings: Any) -> RunBuilder:
    """Return a planned run of teacher, baseline, distilled and report, of which nothing has run yet.

    ``settings`` are more of what every training says.
    """
    run = RunBuilder(path, pipeline=pipeline)
    run.stage("teacher", "teacher", seeds, model="resnet18", settings=settings)
    run.stage("baseline", "baseline", seeds, settings=settings)
    run.stage("distilled", "distilled", seeds, teacher="teacher", settings=settings)
    return run.report_job()


def evidence(accuracy: float, *, classes: Sequence[str] = ("cat", "dog"), speed: float = 0.001) -> dict[str, Any]:
    """Return what a measured model's result records beside its metrics: classes, confidence, cost."""
    right, wrong = round(100 * accuracy), 100 - round(100 * accuracy)
    each = {"precision": accuracy, "recall": accuracy, "f1_score": accuracy, "images": 100}
    others = wrong // max(1, len(classes) - 1)
    count = len(classes)
    confusion = [[right if true == found else others for found in range(count)] for true in range(count)]
    return {
        "measured_in": "float32",
        "detail": {"classes": dict.fromkeys(classes, each), "confusion": confusion},
        "calibration": {
            "part": "test",
            "expected_error": 0.05,
            "negative_log_likelihood": 0.4,
            "counts": [0, wrong, right],
            "confidence": [0.0, 0.6, 0.9],
            "accuracy": [0.0, 0.5, accuracy],
        },
        "file": {"name": "checkpoint/best.safetensors", "bytes": round(2e8 * speed)},
        "cost": {
            "flops": round(1e10 * speed),
            "cpu": {
                "runtime": "PyTorch float32, cpu: test, 2 threads",
                "latency": {"median": speed, "p95": 1.5 * speed, "threads": 2, "rounds": 100},
                "images_per_second": 2 / speed,
                "batch": 32,
            },
        },
    }
