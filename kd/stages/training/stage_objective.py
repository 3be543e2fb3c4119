"""The training objective of a stage: its loss terms with their weights, its teachers, and its temperature."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from kd.catalog import load
from kd.distill.objective import WeightedTerms, make_term
from kd.losses.inputs import ADAPTER
from kd.rundir.stage_spec import StageSpec, TrainSettings
from kd.stages.training.seeds import seed_generators, seed_of
from kd.stages.training.stage_teachers import StageTeachers, TrainingSetup
from kd.stages.training.step_forms import step_form
from kd.train.batches import AugmentedBatches
from kd.train.state import Row


def stage_objective(
    spec: StageSpec[TrainSettings],
    student: nn.Module,
    batches: AugmentedBatches,
    teachers: StageTeachers | None,
    setup: TrainingSetup,
    history: Callable[[], Sequence[Row]],
) -> WeightedTerms:
    """Return the weighted terms of a spec, with its teachers where it has some, and with the terms' adapters.

    ``history`` gives the rows of the finished epochs, which temperatures may follow.
    """
    seed_generators("adapters", seed_of(spec))  # losses of the user's own may draw weights when they are made
    terms = [
        make_term(name, term.weight, term.arguments, loss=term.loss, teacher=term.teacher)
        for name, term in spec.settings.loss.items()
    ]
    owned = any(term.needs(*ADAPTER) or term.module is not None for term in terms)
    example = next(batches.epoch(0)) if owned else None
    wanted = {name for term in terms for name in term.inputs}
    apart: dict[int, set[str]] = {}
    for term in terms:
        if term.teacher is not None:
            apart.setdefault(term.teacher, set()).update(term.inputs)
    teacher = teachers.build(setup, wanted=wanted, apart=apart) if teachers else None
    seed_generators("adapters", seed_of(spec))
    return WeightedTerms(
        terms,
        student=student,
        teacher=teacher,
        autocast=setup.runtime.autocast,
        example=example,
        labels_N=setup.data.train.labels,
        gather=setup.processes.gather,
        temperature=_temperature(spec.settings, history),
        numbers_on=setup.runtime.device if step_form(spec.settings, setup) == "graph" else None,
    )


def _temperature(settings: TrainSettings, history: Callable[[], Sequence[Row]]) -> Callable[[int], float] | None:
    """Return the temperature by epoch, or None where each loss keeps its own."""
    if settings.temperature is None:
        return None
    arguments, schedule = settings.temperature.arguments, load("temperature", settings.temperature.name)

    def temperature(epoch: int) -> float:
        losses = [row["val_loss"] for row in history()]
        value: float = schedule(epoch, settings.epochs, losses, **arguments)
        return value

    return temperature
