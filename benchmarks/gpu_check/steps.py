"""C: every loss and option takes steps that wait for nothing. D: deterministic steps give the same bits twice."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_check.record import Check, Found, Record, no_waits, wait
from benchmarks.whole_step import WholeStep
from kd.catalog import entries
from kd.data.mixing import Mixing
from kd.train.device import Precision, prepare_runtime

OF_LABELS = ("balanced_bce", "bce", "binary_kd")
KD = {"ce": 0.5, "kd": 0.5}
OPTIONS: dict[str, dict[str, Any]] = {
    "mixup": {"mixing": Mixing(mixup=0.2)},
    "cutmix": {"mixing": Mixing(cutmix=1.0)},
    "ema": {"ema": True},
    "clip": {"clip": 1.0},
    "clip, float16": {"clip": 1.0, "precision": "float16"},
    "cached": {"cached": True},
    "two teachers, uniform": {"teachers": 2},
    "two teachers, entropy": {"teachers": 2, "weighting": "entropy"},
    "two teachers, label": {"teachers": 2, "weighting": "label"},
    "adamw": {"optimizer": "adamw"},
    "teacher of all modalities": {"privileged": True},
    "teacher of infrared": {"privileged": True, "teacher_sees": ("ir",)},
    "vit6": {"student": "vit6", "teacher": "vit6"},
}
MODELS = ("convnet", "resnet18", "vgg8", "mobilenet_v2", "vit6", "wrn16_2")


def losses_by_name() -> dict[str, dict[str, float]]:
    """Return the terms to try: each loss of one class beside ``ce``."""
    names = sorted(set(entries("loss")) - set(OF_LABELS))
    return {name: {"ce": 1.0} | ({} if name == "ce" else {name: 0.1}) for name in names}


def check_losses_and_options(record: Record, precisions: tuple[Precision, ...]) -> None:
    """C: take steps, the last ones under a guard against waits. Options in the first precision alone."""
    for precision in precisions:
        labels = _takes_steps(dict.fromkeys(OF_LABELS, 0.5), precision, **record.sizes)
        record.check(f"C {', '.join(OF_LABELS)} {precision}", labels)
        for terms in losses_by_name().values():
            record.check(f"C {' + '.join(terms)} {precision}", _takes_steps(terms, precision, **record.sizes))
    if "bfloat16" in precisions:
        for name, options in OPTIONS.items():
            record.check(f"C {name}", _takes_steps(KD, **options, **record.sizes))


def check_determinism(record: Record) -> None:
    """D: train twice, deterministic, and compare all weights."""
    for name, terms in losses_by_name().items():
        record.check(f"D {name}", _same_twice(terms, **record.sizes))
    for model in MODELS:
        record.check(f"D {model}", _same_twice(KD, student=model, teacher=model, **record.sizes))


def _takes_steps(terms: dict[str, float], precision: Precision = "bfloat16", **options: Any) -> Check:
    def work() -> Found:
        steps = WholeStep(terms, prepare_runtime(precision=precision), **options)
        for _ in range(3):
            steps.step()
        wait()
        with no_waits():
            steps.step()
            steps.step()
        steps.meter.check_finite(0)
        return {"loss": round(float(steps.meter.losses[4 % steps.batches.steps, 0]), 4)}

    return work


def _same_twice(terms: dict[str, float], **options: Any) -> Check:
    def work() -> None:
        runtime = prepare_runtime(deterministic=True)
        try:
            weights = []
            for _ in range(2):
                steps = WholeStep(terms, runtime, **options)
                for _ in range(4):
                    steps.step()
                weights.append([value.detach().cpu() for value in steps.model.state_dict().values()])
        finally:
            torch.use_deterministic_algorithms(False)
        assert all(map(torch.equal, *weights)), "two deterministic runs differ"

    return work
