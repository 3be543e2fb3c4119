"""Stage kind "select": take the last candidate teacher of a chain that pays for its step.

It trains nothing. What each candidate's student gets right on the validation images decides (``kd.distill.chain``); the
result is the chosen candidate's own weights, so this stage stands for a model wherever a stage may be named. The test
metrics, and all else that was measured, are quoted from the candidate's result: no test image is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from kd.distill.chain import Step, choose
from kd.distill.teacher import load_trained_model
from kd.hashed_copy import copy_hashed
from kd.rundir.folders import BEST
from kd.rundir.result_sections import Charged, Seconds, Selection, SelectionStep, TrainingCost
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import SelectSettings, StageSpec
from kd.stages.context import Interrupted, StageContext
from kd.stages.result_file import circumstances, identity
from kd.stages.stage_data import StageData, load_data
from kd.stages.trained_model import FoundModel, find_trained_model
from kd.train.device import Runtime, prepare_runtime
from kd.train.state import Stopwatch


def run(context: StageContext, spec: StageSpec[SelectSettings]) -> StageResult:
    """Judge the candidates, copy the chosen one's weights and return the result.

    Raises Interrupted when asked to stop (nothing is lost: it takes seconds), CheckpointError when a candidate or a
    student cannot be used.
    """
    watch = Stopwatch()
    runtime = prepare_runtime(precision="float32")
    candidates, students = (
        [find_trained_model(folder) for folder in _numbered(context.parents, reference)] for reference in ("of", "by")
    )
    data = load_data(spec.data, staged=context.data_root, device=runtime.device, modalities=students[0].modalities)
    correct = [_judged(student, data, runtime, context.stop_requested) for student in students]
    chosen, steps = choose(correct, minimum_gain=spec.settings.minimum_gain)
    copy_hashed(candidates[chosen].path, context.work / BEST)
    winner = candidates[chosen].result
    return StageResult(
        **identity(context, spec, context.publish([BEST])),
        **circumstances(runtime, data),
        model=winner.model,
        parameters=winner.parameters,
        metric=winner.metric,
        measured_in=winner.measured_in,
        validation=winner.validation,
        test=winner.test,
        detail=winner.detail,
        calibration=winner.calibration,
        file=winner.file,
        cost=winner.cost,
        selection=Selection(
            chosen=winner.stage,
            images=len(data.validation),
            steps=[
                _recorded(candidate.result, student.result, step)
                for candidate, student, step in zip(candidates, students, steps, strict=True)
            ],
        ),
        charged=_charged([model.result for model in (*candidates[1:], *students)]),
        seconds=Seconds(total=watch.seconds),
    )


def _numbered(parents: Mapping[str, Path], reference: str) -> list[Path]:
    """Return the parents ``reference_1``, ``reference_2`` ... in their order."""
    return [parents[name] for name in (f"{reference}_{n}" for n in range(1, len(parents) + 1)) if name in parents]


@torch.inference_mode()
def _judged(student: FoundModel, data: StageData, runtime: Runtime, stop_requested: Callable[[], bool]) -> Tensor:
    """Return how right a student is on each validation image [N], in their order, on the CPU.

    Right or wrong; with several labels per image, the share of them that is right. Raises Interrupted when asked to
    stop.
    """
    if stop_requested():
        raise Interrupted("stopped before all students were judged")
    model, _ = load_trained_model(student.path, student=data.card(student.component))
    placed = runtime.place(model).eval()
    batches = data.validation.in_order()
    return torch.cat([_right(placed(images), labels).cpu() for images, labels in batches])


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return ((logits > 0) == labels).double().mean(1) if labels.ndim == 2 else logits.argmax(1) == labels


def _recorded(candidate: StageResult, student: StageResult, step: Step) -> SelectionStep:
    """Return a step as the result records it. Errors are shares of the validation images."""
    return SelectionStep(
        candidate=candidate.stage, parameters=candidate.parameters, student=student.stage, **asdict(step)
    )


def _charged(results: Sequence[StageResult]) -> Charged:
    """Return what it cost to find out: the trainings of all candidates but the first, and of all students."""
    different = {result.fingerprint: result for result in results}.values()
    spent = {result.stage: _training_cost(result) for result in different}
    return Charged(
        epochs=sum(each.epochs for each in spent.values()),
        seconds=sum(each.seconds for each in spent.values()),
        stages=spent,
    )


def _training_cost(result: StageResult) -> TrainingCost:
    assert result.epochs is not None, f"{result.key}: not a training"
    assert result.seconds is not None
    assert result.seconds.total is not None
    return TrainingCost(epochs=result.epochs, seconds=result.seconds.total)
