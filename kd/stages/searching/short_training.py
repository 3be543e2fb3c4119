"""One trial of a search: a training like that of the searched stage, in fewer epochs, which leaves only its score.

It never reads the test part. Its checkpoints lie in a folder of their own, so that it goes on after an interruption.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import Trial
from kd.rundir.stage_spec import SearchSettings, StageSpec, TrainSettings
from kd.search.space import Configuration, with_configuration
from kd.stages.context import StageContext
from kd.stages.stage_data import StageData
from kd.stages.training.fit_stage import train_model
from kd.stages.training.stage_teachers import StageTeachers
from kd.train.device import free_memory
from kd.train.distributed import ALONE
from kd.train.meter import TrainingDiverged
from kd.train.state import Stopwatch


def run_trial(
    context: StageContext,
    spec: StageSpec[SearchSettings],
    data: StageData,
    teachers: StageTeachers | None,
    *,
    number: int,
    configuration: Configuration,
    epochs: int,
) -> Trial:
    """Train a configuration for ``epochs`` and return how it does on the validation images.

    ``spec`` is that of the search, ``data`` and ``teachers`` are those of the stage it is for. Raises Interrupted when
    asked to stop; the same call then goes on.
    """
    watch = Stopwatch()
    settings = with_configuration(spec.settings.training, configuration)
    trial: StageSpec[TrainSettings] = msgspec.structs.replace(
        spec,  # type: ignore[arg-type]
        fingerprint=f"{spec.fingerprint}/{number}/{epochs}",
        settings=msgspec.structs.replace(settings, epochs=epochs, schedule_epochs=settings.epochs, track=(), draw=None),
    )
    surroundings = _surroundings(context)
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


def _surroundings(context: StageContext) -> StageContext:
    """Return the context of a trial: a folder of its own inside that of the search."""
    return replace(
        context,
        folder=context.folder.trial,
        work=StageFolder(context.work).trial.path,
        publish=lambda names: _publish(context, names),
    )


def forget_trial(context: StageContext) -> None:
    """Remove what the trial under way left: its score is safe."""
    for folder in {StageFolder(context.work), context.folder}:
        shutil.rmtree(folder.trial.path, ignore_errors=True)


def _publish(context: StageContext, names: Sequence[str]) -> dict[str, str]:
    prefix = f"{context.folder.trial.path.name}/"
    digests = context.publish([f"{prefix}{name}" for name in names])
    return {name.removeprefix(prefix): digest for name, digest in digests.items()}
