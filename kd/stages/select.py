"""Stage kind "select": of candidate teachers, each a step further down a chain, take the last one that pays.

It trains nothing. What each candidate's student gets right on the validation images decides (``kd.distill.chain``); the
result is the chosen candidate's own weights, so this stage stands for a model wherever a stage may be named. The test
metrics are quoted from the candidate's result: no test image is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kd.distill.chain import Step, choose
from kd.distill.teacher import load_teacher
from kd.files import copy_hashed, read_json
from kd.rundir.folders import StageFolder
from kd.stages.context import Interrupted, StageContext
from kd.stages.data import Data, load_data
from kd.stages.envelope import result_of
from kd.stages.outcome import BEST
from kd.stages.teachers import find_teacher
from kd.train.device import Runtime, prepare_runtime
from kd.train.state import Stopwatch

QUOTED = ("model", "parameters", "metric", "validation", "test")  # of the chosen candidate's result


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Judge the candidates, copy the chosen one's weights and return the contents of result.json.

    Raises Interrupted when asked to stop (nothing is lost: it takes seconds), CheckpointError when a candidate or a
    student cannot be used.
    """
    watch = Stopwatch()
    runtime = prepare_runtime(precision="float32")
    candidates, students = (_numbered(context.parents, reference) for reference in ("of", "by"))
    data = load_data(
        spec["data"],
        {"crop": 0, "flip": False},
        staged=context.data_root,
        device=runtime.device,
        modalities=find_teacher(students[0]).modalities,
    )
    correct = [_judged(student, data, runtime, context.stop_requested) for student in students]
    chosen, steps = choose(correct, minimum_gain=spec["settings"]["minimum_gain"])
    copy_hashed(find_teacher(candidates[chosen]).path, context.work / BEST)
    results = [_result(folder) for folder in (*candidates, *students)]
    count = len(candidates)
    findings = {
        **{key: results[chosen][key] for key in QUOTED},
        "selection": _told(results[:count], results[count:], chosen, steps, len(data.validation)),
        "charged": _charged(results[1:]),
        "seconds": {"total": watch.seconds},
    }
    return result_of(context, spec, findings, runtime=runtime, data=data, files=context.publish([BEST]))


def _numbered(parents: Mapping[str, Path], reference: str) -> list[Path]:
    """Return the parents ``reference_1``, ``reference_2`` ... in their order."""
    return [parents[name] for name in (f"{reference}_{n}" for n in range(1, len(parents) + 1)) if name in parents]


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = read_json(StageFolder(folder).result)
    return result


@torch.inference_mode()
def _judged(student: Path, data: Data, runtime: Runtime, stop_requested: Callable[[], bool]) -> Tensor:
    """Return how right a student is on each validation image [N], in their order, on the CPU.

    Right or wrong; of images with several labels the share of them that is right. Raises Interrupted when asked to
    stop.
    """
    if stop_requested():
        raise Interrupted("stopped before all students were judged")
    found = find_teacher(student)
    model, _ = load_teacher(found.path, student=data.card(found.model))
    placed = runtime.place(model).eval()
    batches = data.validation.in_order()
    return torch.cat([_right(placed(images), labels).cpu() for images, labels in batches])


def _right(logits: Tensor, labels: Tensor) -> Tensor:
    return ((logits > 0) == labels).double().mean(1) if labels.ndim == 2 else logits.argmax(1) == labels


def _told(
    candidates: Sequence[Mapping[str, Any]],
    students: Sequence[Mapping[str, Any]],
    chosen: int,
    steps: Sequence[Step],
    images: int,
) -> dict[str, Any]:
    """Return what was chosen and why. Errors are shares of the validation images."""
    named = [
        {"candidate": candidate["stage"], "parameters": candidate["parameters"], "student": student["stage"]}
        for candidate, student in zip(candidates, students, strict=True)
    ]
    said = [{**names, **asdict(step)} for names, step in zip(named, steps, strict=True)]
    return {"chosen": named[chosen]["candidate"], "images": images, "steps": said}


def _charged(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what it cost to find out: the trainings of all candidates but the first, and of all students."""
    different = {result["fingerprint"]: result for result in results}.values()
    spent = {
        result["stage"]: {"epochs": result["epochs"], "seconds": result["seconds"]["total"]} for result in different
    }
    return {
        "epochs": sum(each["epochs"] for each in spent.values()),
        "seconds": sum(each["seconds"] for each in spent.values()),
        "stages": spent,
    }
