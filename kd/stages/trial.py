"""One trial of a search: a training like that of the stage it is for, in fewer epochs, that leaves only its score.

It never reads the test part. Its checkpoints lie in a folder of their own, so that it goes on after an interruption.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kd.rundir.folders import StageFolder
from kd.search.halving import Trial
from kd.search.space import Configuration, with_configuration
from kd.stages.context import StageContext
from kd.stages.data import Data
from kd.stages.fit import train_model
from kd.stages.teachers import Teachers
from kd.train.device import free_memory
from kd.train.distributed import ALONE
from kd.train.meter import TrainingDiverged
from kd.train.state import Stopwatch

FOLDER = "trial"  # of the trial under way


def run_trial(
    context: StageContext,
    spec: Mapping[str, Any],
    data: Data,
    teachers: Teachers | None,
    *,
    number: int,
    configuration: Configuration,
    epochs: int,
) -> Trial:
    """Train a configuration for ``epochs`` and return how it does on the validation images.

    ``spec`` is that of the search, ``data`` and ``teachers`` are those of the stage it is for. Raises Interrupted when
    asked to stop; the same call then goes on.
    """
    search, watch = spec["settings"], Stopwatch()
    settings = with_configuration(search["training"], configuration)
    trial = {
        **spec,
        "fingerprint": f"{spec['fingerprint']}/{number}/{epochs}",
        "settings": {**settings, "epochs": epochs, "schedule_epochs": settings["epochs"]},
    }
    surroundings = replace(
        context,
        folder=StageFolder(context.folder.path / FOLDER),
        work=context.work / FOLDER,
        publish=lambda names: _publish(context, names),
    )
    score = loss = None
    try:
        own = replace(teachers, context=surroundings, spec=trial) if teachers else None
        training = train_model(surroundings, trial, own, ALONE, data=data).training
        assert training.best_epoch is not None
        metrics = training.validation(training.best_epoch)
        score, loss = getattr(metrics, training.metric), metrics.loss
        seconds = training.total_watch.seconds
    except TrainingDiverged:
        seconds = watch.seconds
    finally:
        free_memory()  # the next trial has the whole device
    return Trial(number=number, epochs=epochs, configuration=configuration, score=score, loss=loss, seconds=seconds)


def forget_trial(context: StageContext) -> None:
    """Remove what the trial under way left: its score is safe."""
    for folder in {context.work, context.folder.path}:
        shutil.rmtree(folder / FOLDER, ignore_errors=True)


def _publish(context: StageContext, names: Sequence[str]) -> dict[str, str]:
    digests = context.publish([f"{FOLDER}/{name}" for name in names])
    return {name.removeprefix(f"{FOLDER}/"): digest for name, digest in digests.items()}
