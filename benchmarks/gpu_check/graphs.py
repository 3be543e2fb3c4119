"""H: a step replayed as a CUDA graph is the plain step, for every loss and option."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.gpu_check.record import GPU, Check, Found, Record, no_waits, wait
from benchmarks.gpu_check.steps import KD, MODELS, OPTIONS, losses_by_name
from benchmarks.whole_step import WholeStep
from kd.jobfile.capture_faults import WITH_OWN_DRAWS
from kd.train.device import prepare_runtime

STEPS = 6


def check_graphs(record: Record) -> None:
    """H: train plain and captured, deterministic, and compare all weights and losses; no replay waits."""
    for name, terms in losses_by_name().items():
        if name not in WITH_OWN_DRAWS:
            record.check(f"H {name}", _same_as_plain(terms, **record.sizes))
    for name, options in OPTIONS.items():
        if "precision" not in options:
            record.check(f"H {name}", _same_as_plain(KD, **options, **record.sizes))
    for model in MODELS:
        record.check(f"H {model}", _same_as_plain(KD, student=model, teacher=model, **record.sizes))


def _same_as_plain(terms: dict[str, float], **options: Any) -> Check:
    def work() -> Found:
        if not GPU:
            return {"left out": "there is no GPU"}
        runtime = prepare_runtime(deterministic=True)
        try:
            plain, captured = (
                _trained(WholeStep(terms, runtime, captured=captured, **options)) for captured in (False, True)
            )
        finally:
            torch.use_deterministic_algorithms(False)
        assert all(value.isfinite().all() for value in plain), "the plain steps diverge"
        worst = max(float((one - other).abs().max()) for one, other in zip(plain, captured, strict=True))
        largest = max(float(one.abs().max()) for one in plain)
        assert worst <= 1e-3 * largest, f"the weights differ by {worst} of {largest}"
        return {"worst": worst}

    return work


def _trained(steps: WholeStep) -> list[torch.Tensor]:
    """Return weights, their average and losses after some steps, the last of which may not wait for the GPU."""
    for _ in range(STEPS - 1):
        steps.step()
    wait()
    with no_waits():
        steps.step()
    average = steps.training.average
    values = [*steps.model.state_dict().values(), *([] if average is None else average.weights.values())]
    return [value.detach().double().cpu() for value in [*values, steps.meter.losses]]
