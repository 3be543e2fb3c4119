"""E: a stage that is interrupted twice ends with the weights of one that never was."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.record import Check, Found, Record
from kd.run import run_stage
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import StageFolder
from kd.stages.context import Interrupted, in_place
from kd.train.weights import load_weights

COMPILING_SECONDS = 60.0
MIXED = {"ema": {"decay": 0.99}, "clip": 1.0, "mixup": {"alpha": 0.2}}


def check_resumes(record: Record) -> None:
    """E: in the forms that a step has, deterministic and not."""
    record.check("E resumed, deterministic", _resumed(record))
    record.check("E resumed, deterministic, distill", _resumed(record, kind="distill", **MIXED))
    record.check("E resumed, deterministic, float16", _resumed(record, precision="float16"))
    record.check("E resumed, not deterministic", _resumed(record, deterministic=False))
    record.check("E resumed, compiled", _resumed(record, compile=True), least=COMPILING_SECONDS)


def check_resumed_graphs(record: Record) -> None:
    """E: the same of steps that are captured: resumed, and against plain ones; with dropout."""
    dropout = {"model": {"name": "mobilenet_v2", "arguments": {"dropout": 0.3}}}
    record.check("E graph resumed, deterministic", _resumed(record, compile="graph"))
    record.check("E graph resumed, dropout", _resumed(record, compile="graph", **dropout))
    record.check("E graph resumed, distill", _resumed(record, kind="distill", compile="graph", **MIXED))
    record.check("E graph against plain", _resumed(record, against={"compile": False}, compile="graph", **dropout))
    record.check(
        "E graph against plain, distill",
        _resumed(record, kind="distill", against={"compile": False}, compile="graph", **MIXED),
    )


def _resumed(record: Record, *, kind: str = "train", against: Found | None = None, **settings: Any) -> Check:
    """Compare a stage cut in three with a whole one, whose settings may be others (``against``)."""

    def work() -> Found:
        with tempfile.TemporaryDirectory() as name:
            place, parents = Path(name), {}
            if kind == "distill":
                _run(place / "teacher", _spec(record.small, "train", {"epochs": 1}))
                parents = {"teacher": place / "teacher"}
            spec = _spec(record.small, kind, settings)
            _run(place / "whole", _spec(record.small, kind, {**settings, **(against or {})}), parents=parents)
            for after in (10, 3):
                _run(place / "cut", spec, stop_after=after, parents=parents)
            _run(place / "cut", spec, parents=parents)
            same = spec["settings"]["deterministic"] and not against
            return _compared(place, must_be_equal=same)

    return work


def _compared(place: Path, *, must_be_equal: bool) -> Found:
    ours, theirs = (load_weights(place / part / "checkpoint/last.safetensors")[0] for part in ("cut", "whole"))
    worst = max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)
    assert all(value.isfinite().all() for value in ours.values()), "the training diverged"
    result = read_object(StageFolder(place / "cut").result)
    assert result is not None
    told = ("attempts", "gpu_memory_mb", "device", "steps", "images_per_second")
    found = {"worst": worst, **{key: result[key] for key in told if key in result}}
    assert worst == 0 or not must_be_equal, found
    return found


def _run(folder: Path, spec: Found, *, stop_after: int = -1, parents: dict[str, Path] | None = None) -> None:
    """Run a stage, to its end or until it was asked so many times whether to stop."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_after

    try:
        run_stage(in_place(StageFolder(folder), parents=parents or {}, stop_requested=stop))
    except Interrupted:
        return


def _spec(small: bool, kind: str, settings: Found) -> Found:
    weights = {"ce": {"weight": 1.0, "arguments": {}}}
    if kind == "distill":
        weights = {"ce": {"weight": 0.5, "arguments": {}}, "kd": {"weight": 0.5, "arguments": {"temperature": 4.0}}}
    images = {"size": 8, "train": 100, "test": 20} if small else {"size": 32, "train": 1500, "test": 600}
    return {
        "format": 1,
        "pipeline": "gpu_check",
        "stage": kind,
        "seed": 7,
        "kind": kind,
        "role": kind,
        "fingerprint": kind,
        "parents": {"teacher": {"stage": "train", "seed": 7, "fingerprint": "train"}} if kind == "distill" else {},
        "data": {
            "name": "synthetic",
            "root": None,
            "arguments": {"classes": 10, **images},
            "validation": 20 if small else 500,
            "train_subset": None,
            "test_subset": None,
        },
        "settings": {
            "model": {"name": "resnet20", "arguments": {}},
            "epochs": 3,
            "batch_size": 16 if small else 128,
            "optimizer": {"name": "sgd", "arguments": {"lr": 0.05}},
            "schedule": {"name": "cosine", "arguments": {"warmup": 0.5}},
            "loss": weights,
            "augment": {"crop": 4, "flip": True},
            "precision": "auto",
            "deterministic": True,
            "compile": False,
            "checkpoint_every": 1,
            **settings,
        },
        "resources": {"gpus": 1, "cpus": 1, "memory_mb": 1024, "minutes": 10},
    }
