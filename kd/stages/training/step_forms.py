"""The forms in which a training's steps can run, by the key ``compile``: plain, compiled, or one graph on a GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

import torch
from torch import nn

from kd.rundir.stage_spec import TrainSettings
from kd.stages.context import StageContext
from kd.stages.training.stage_teachers import TrainingSetup
from kd.train.captured_step import CapturedStep
from kd.train.plain_step import PlainStep
from kd.train.state import Training
from kd.train.step import EpochObjective, Step

StepForm = Literal["plain", "compiled", "graph"]
COMPILED_CODE = "TORCHINDUCTOR_CACHE_DIR"  # where torch's compiler keeps what it made


def step_form(settings: TrainSettings, setup: TrainingSetup) -> StepForm:
    """Return how the steps of a training run here: as asked for, or plain where a graph has no GPU."""
    if settings.compile != "graph":
        return "compiled" if settings.compile else "plain"
    return "graph" if setup.runtime.device.type == "cuda" and not setup.processes.several else "plain"


def report_fallback(settings: TrainSettings, form: StepForm) -> None:
    """Write one line in the log where the steps do not run as asked for."""
    if settings.compile == "graph" and form != "graph":
        print("kd: compile: graph needs one GPU, which is not here; the steps run one operation at a time",
              file=sys.stderr, flush=True)  # fmt: skip


def form_of(form: StepForm, training: Training, objective: EpochObjective) -> Callable[[PlainStep], Step]:
    """Return what makes the form of a training's plain step."""
    if form == "graph":
        return partial(CapturedStep, training=training, objective=objective)
    return lambda step: step


def called(model: nn.Module, form: StepForm) -> nn.Module:
    """Return the model as steps call it."""
    if form != "compiled":
        return model
    compiled = torch.compile(model)
    assert isinstance(compiled, nn.Module)
    return compiled


@contextmanager
def compiled_code_of(context: StageContext) -> Iterator[None]:
    """Let torch's compiler keep its work beside the run, so that a requeue and the next seed find it.

    A folder that the environment names goes first. The compiler names its files by what they were made of, and renames
    them into place, so that jobs may share them.
    """
    run = context.folder.run_around
    if run is None or COMPILED_CODE in os.environ:
        yield
        return
    os.environ[COMPILED_CODE] = str(run.compiled)
    try:
        yield
    finally:
        del os.environ[COMPILED_CODE]
