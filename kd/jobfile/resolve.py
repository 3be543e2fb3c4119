"""Parts of a job file as spec.json has them: the catalogue's defaults filled in, so that a spec.json says all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from kd.catalog import resolve_arguments
from kd.jobfile.quantities import SHORT
from kd.jobfile.schema import Augment, Component, Data, Draw, Resources, Strict, TermOptions
from kd.rundir import stage_spec
from kd.rundir.stage_spec import Needs

TRAINING_NEEDS = Needs(gpus=1, cpus=4, memory_mb=16 * 1024, minutes=24 * 60)
MEASURING_NEEDS = Needs(gpus=0, cpus=4, memory_mb=16 * 1024, minutes=60)
Part = TypeVar("Part", bound=msgspec.Struct)


def resolved_component(kind: str, component: Component) -> stage_spec.Component:
    """Return a component of a catalogue kind (``model``, ``optimizer``) with all its arguments."""
    arguments = resolve_arguments(kind, component.name, component.arguments)
    return stage_spec.Component(name=component.name, arguments=arguments)


def resolved_term(name: str, term: TermOptions, teachers: Sequence[str] = ()) -> stage_spec.TermSettings:
    """Return a term of a loss with all arguments of the loss function; of several ``teachers`` it may ask one."""
    return stage_spec.TermSettings(
        weight=term.weight,
        arguments=resolve_arguments("loss", term.loss or name, term.arguments),
        loss=term.loss if term.loss != name else None,
        teacher=teachers.index(term.teacher) if term.teacher is not None and len(teachers) > 1 else None,
    )


def resolved_augment(augment: Augment) -> stage_spec.Augment:
    """Return the augmentation; what is off is left out, so that a new change leaves older fingerprints alone."""
    further = augment.model_dump(exclude={"crop", "flip", "own"}, exclude_defaults=True)
    own = resolved_component("augmentation", augment.own) if augment.own else None
    return stage_spec.Augment(crop=augment.crop, flip=augment.flip, **further, own=own)


def resolved_option(option: Strict | None, into: type[Part]) -> Part | None:
    """Return an option of a stage as its settings have it; None where it is off."""
    return None if option is None else into(**option.model_dump())


def resolved_draw(draw: Draw | None) -> stage_spec.Draw | None:
    """Return what is drawn of a model; None where nothing is."""
    if draw is None:
        return None
    return stage_spec.Draw(embeddings=draw.embeddings, method=draw.method, feature_maps=tuple(draw.feature_maps))


def resolved_data(data: Data) -> stage_spec.DataSpec:
    """Return a data set with all its arguments."""
    return stage_spec.DataSpec(
        name=data.name,
        root=data.root,
        arguments=resolve_arguments("dataset", data.name, data.arguments),
        validation=data.validation,
        train_subset=data.train_subset,
        test_subset=data.test_subset,
    )


def within_time(defaults: Needs, pipeline: Resources) -> Needs:
    """Return a kind's own needs, in no more time than the file gives every stage: a site may take no longer jobs."""
    given = pipeline.time
    if given is None or given == SHORT or given >= defaults.minutes:
        return defaults
    return msgspec.structs.replace(defaults, minutes=given)


def resolved_needs(defaults: Needs, *layers: Resources) -> Needs:
    """Return the defaults overridden by each layer's given values, the last layer winning."""
    needs = defaults
    for layer in layers:
        given = {
            "gpus": layer.gpus,
            "cpus": layer.cpus,
            "memory_mb": layer.memory,
            "minutes": layer.time,
            "gpu_type": layer.gpu_type,
        }
        needs = msgspec.structs.replace(needs, **{name: value for name, value in given.items() if value is not None})
    return needs
