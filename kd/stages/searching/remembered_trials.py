"""What a search knows of its task, and what it remembers of the trials of other searches."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kd.compress.cost import count_parameters
from kd.errors import CheckpointError
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import Trial
from kd.rundir.stage_result import read_result
from kd.rundir.stage_spec import SearchSettings, StageSpec, TrainSettings
from kd.search.proposals import Experience
from kd.search.space import with_configuration
from kd.stages.context import StageContext
from kd.stages.stage_data import StageData
from kd.stages.training.stage_teachers import StageTeachers
from kd.stages.training.starting_model import starting_model


def task_features(
    context: StageContext, spec: StageSpec[SearchSettings], data: StageData, teachers: StageTeachers | None
) -> dict[str, float]:
    """Return what describes a search's task (``kd.search.proposals.FEATURES``), from its data, student and teachers.

    Nothing of the test part is among it.
    """
    student = starting_model(context, spec.settings.training, data).build()
    folders = [context.parents[reference] for reference in spec.parents if reference.startswith("teacher")]
    results = [read_result(StageFolder(folder)) for folder in folders]
    sizes = [result.parameters or 0 for result in results if result]
    accuracies = [found.origin.validation_accuracy or 0.0 for found in teachers.found] if teachers else []
    labels, classes = data.train.labels, len(data.arrays.classes)
    images = labels.sum(dim=0) if data.arrays.multi_label else labels.bincount(minlength=classes)
    return {
        "log_images": math.log10(len(data.train)),
        "log_classes": math.log10(classes),
        "log_pixels": math.log10(data.arrays.channels * data.arrays.image_size**2),
        "imbalance": float(images.max()) / max(1.0, float(images.min())),
        "log_parameters": math.log10(count_parameters(student)),
        "log_teacher_parameters": math.log10(max(1, sum(sizes))),
        "teacher_accuracy": max(accuracies, default=0.0),
        "teachers": float(len(folders)),
    }


def remembered_trials(context: StageContext, spec: StageSpec[SearchSettings]) -> list[Experience]:
    """Return all trials of the searches that a spec names as its memory. Raises CheckpointError when one is missing."""
    found = []
    for reference in spec.parents:
        if reference.startswith("memory"):
            folder = context.parents[reference]
            result = read_result(StageFolder(folder))
            if result is None or result.trials is None or result.features is None or result.training is None:
                raise CheckpointError(f"{folder}: the search has no result.json, so it has not finished; run it first")
            found += [experience(result.features, result.training, trial) for trial in result.trials]
    return found


def experience(features: Mapping[str, float], training: TrainSettings, trial: Trial) -> Experience:
    """Return what a finished trial teaches; ``training`` are the settings of the stage it was done for."""
    return Experience(
        features=features,
        settings=with_configuration(training, trial.configuration),
        epochs=trial.epochs,
        score=trial.score or 0.0,
    )
