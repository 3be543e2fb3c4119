"""Does a teacher that also sees infrared help a student that sees RGB alone? On the synthetic frames, paired by seed.

Three students that see RGB: one learns from labels alone, one from a teacher of RGB and infrared, and one, the control,
from a teacher of the same size that sees RGB alone, which shows what soft targets do without privileged sight. A share
of the training labels is wrong. Run it as ``python -m benchmarks.privileged``; prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from benchmarks.timing import machine
from kd.files import read_json
from kd.report.formatting import interval, mean_sd, percent, points
from slurm.commands.submit import main as submit

SEEDS = [42, 123, 456, 789, 1024]
IMAGES, SIZE, WRONG = 2000, 32, 0.2
SOFT = {"bce": 0.1, "binary_kd": {"weight": 0.9, "temperature": 1}}
RGB = {"modalities": ["rgb"]}


def job(epochs: int) -> dict[str, Any]:
    """Return the job file: two teachers, the baseline and two students, all convnets; teachers are wider."""
    shared: dict[str, Any] = {
        "model": {"name": "convnet", "width": 16},
        "epochs": epochs,
        "batch_size": 64,
        "optimizer": {"name": "adamw", "lr": 3e-3, "weight_decay": 1e-4},
        "schedule": {"name": "cosine", "warmup": 1},
        "augment": {"crop": 2, "flip": True},
    }
    train, distill = {**shared, "kind": "train", "loss": {"bce": 1}}, {**shared, "kind": "distill", "loss": SOFT, **RGB}
    teacher = {**train, "model": {"name": "convnet", "width": 24}, "epochs": 2 * epochs}
    stages = {
        "teacher_rgb_ir": {**teacher, "role": "teacher"},
        "teacher_rgb": {**teacher, "role": "control", **RGB},
        "baseline": {**train, "role": "baseline", **RGB},
        "from_rgb_ir": {**distill, "role": "distilled", "teacher": "teacher_rgb_ir"},
        "from_rgb": {**distill, "role": "distilled", "teacher": "teacher_rgb"},
        "report": {"kind": "report"},
    }
    data = {"name": "synthetic_rgb_ir", "images": IMAGES, "size": SIZE, "wrong": WRONG, "validation": 0.3}
    return {"pipeline": "privileged", "data": data, "seeds": SEEDS, "stages": stages}


def table(family: Mapping[str, Any]) -> str:
    """Return the report's figures as Markdown."""
    lines = ["| stage | n | macro F1 | fire, F1 | smoke, F1 |", "|---|---:|---:|---:|---:|"]
    for name, stage in family["stages"].items():
        labels = " | ".join(percent(label["f1_score"]) for label in stage["several_labels"]["labels"].values())
        lines.append(f"| {name} | {stage['n']} | {mean_sd(stage['mean'], stage['sd'])} | {labels} |")
    lines += ["", "| pair | difference, points | 95 % interval | each seed |", "|---|---:|---:|---|"]
    for pair in family["comparisons"]:
        each = ", ".join(points(value) for value in pair["differences"].values())
        bounds = interval(pair["ci95"], points)
        lines.append(f"| {pair['stage']} − {pair['against']} | {points(pair['difference'])} | {bounds} | {each} |")
    return "\n".join(lines)


def main() -> int:
    """Run all arms in this process and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.privileged", description=__doc__)
    parser.add_argument("--epochs", type=int, default=16, help="default: %(default)s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "privileged.yaml")
        file.write_text(yaml.safe_dump(job(given.epochs), sort_keys=False), encoding="utf-8")
        with redirect_stdout(sys.stderr):
            code = submit([str(file), "--executor", "debug", "--results", folder, "--run", "privileged"])
        report = read_json(Path(folder, "privileged/report.json"))
    print(f"Synthetic frames: {IMAGES} of {SIZE} pixels, {WRONG:.0%} of the training labels wrong.")
    print(f"Students: width 16, {given.epochs} epochs; teachers: 24, {2 * given.epochs} epochs. {machine()}\n")
    print(table(report["privileged"]))
    return code


if __name__ == "__main__":
    sys.exit(main())
