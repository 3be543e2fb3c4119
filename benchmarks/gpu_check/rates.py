"""F: images a second of whole steps, plain and as a CUDA graph, beside the bare step; several students at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu_check.record import GPU, Check, Found, Record, wait
from benchmarks.gpu_check.steps import KD
from benchmarks.whole_step import WholeStep
from kd.train.device import prepare_runtime

ALONE = ("resnet20", "resnet8", "resnet18", "resnet110", "wrn28_10", "vit_tiny")
TAUGHT: dict[str, tuple[str, dict[str, float], dict[str, Any]]] = {
    "resnet8 beside resnet18": ("resnet8", KD, {"teacher": "resnet18"}),
    "resnet8, cached teacher": ("resnet8", KD, {"cached": True}),
    "resnet20 beside resnet56, review": ("resnet20", {"ce": 1.0, "review": 0.6}, {"teacher": "resnet56"}),
    "resnet110, ema": ("resnet110", {"ce": 1.0}, {"ema": True}),
}


def check_rates(record: Record) -> None:
    """F: every network alone, and with teachers."""
    seconds = 0.2 if record.small else 1.2
    for model in ALONE:
        record.check(f"F {model} alone", _against_bare(model, {"ce": 1.0}, seconds, **record.sizes))
    for name, (student, terms, options) in TAUGHT.items():
        record.check(f"F {name}", _against_bare(student, terms, seconds, **options, **record.sizes))
    if not record.small:
        record.check("F resnet18, batch 1024", _against_bare("resnet18", {"ce": 1.0}, seconds, batch=1024, count=4096))
        large = {"size": 224, "batch": 128, "count": 1024}
        record.check("F student_cnn, 224 pixels", _against_bare("student_cnn", {"ce": 1.0}, seconds, **large))


def check_packing(record: Record) -> None:
    """P: several students in one process, each on a stream of its own, plain and as graphs."""
    counts, seconds = ((1, 2), 0.2) if record.small else ((1, 2, 4, 8), 1.2)
    for model in ("resnet20", "resnet8"):
        for copies in counts:
            for captured in (False, True) if GPU else (False,):
                form = "graph" if captured else "plain"
                work = _side_by_side(model, copies, seconds, captured=captured, **record.sizes)
                record.check(f"P {copies} of {model}, {form}", work)


def rate(run: Callable[[], object], images: int, seconds: float) -> int:
    """Return images per second of a step of so many images; warmed up before."""
    for _ in range(3):
        run()
    wait()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(5):
            run()
        steps += 5
        wait()
    return round(steps * images / (time.perf_counter() - started))


def _against_bare(student: str, terms: dict[str, float], seconds: float, **options: Any) -> Check:
    """Compare whole steps, plain and captured, with the bare step of the student on one resident batch."""

    def work() -> Found:
        runtime = prepare_runtime()
        whole = WholeStep(terms, runtime, student=student, **options)
        size = whole.batches.batch_size
        found: Found = {"precision": runtime.precision, "images_per_second": rate(whole.step, size, seconds)}
        sizes = {name: value for name, value in options.items() if name in ("batch", "size", "count")}
        bare = WholeStep({"ce": 1.0}, runtime, student=student, **sizes)
        resident = next(bare.batches.epoch(0))
        found["bare_step"] = rate(lambda: bare.update_on(resident), size, seconds)
        found["ratio"] = round(found["images_per_second"] / found["bare_step"], 3)
        if GPU:
            torch.cuda.reset_peak_memory_stats()
            captured = WholeStep(terms, runtime, student=student, captured=True, **options)
            found["graph"] = rate(captured.step, size, seconds)
            found["graph_gain"] = round(found["graph"] / found["images_per_second"], 2)
            found["gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
        return found

    return work


def _side_by_side(student: str, copies: int, seconds: float, **options: Any) -> Check:
    """Train several students in one process, each on a stream of its own: has one GPU room for more?"""

    def work() -> Found:
        many = [WholeStep({"ce": 1.0}, prepare_runtime(), student=student, **options) for _ in range(copies)]
        streams = [torch.cuda.Stream() if GPU else None for _ in many]
        wait()

        def one_round() -> None:
            for steps, stream in zip(many, streams, strict=True):
                with torch.cuda.stream(stream):
                    steps.step()

        images = sum(steps.batches.batch_size for steps in many)
        return {"copies": copies, "images_per_second": rate(one_round, images, seconds)}

    return work
