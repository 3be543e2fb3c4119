"""What a stage can get wrong about a search: whose settings, which of them, within which bounds, and who uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kd import catalog
from kd.arguments import RANGES, alternatives, argument_fault, element_of, normalised, parse_annotation
from kd.errors import did_you_mean, shown
from kd.jobfile.axis import Axis
from kd.jobfile.components import Fault
from kd.jobfile.graph import references
from kd.jobfile.lineage import seed_faults
from kd.jobfile.schema import HINTON, Component, DistillStage, Job, SearchStage, TrainStage
from kd.jobfile.source import Address

_WEIGHT = "NonNegativeFloat"
_SHARED_WEIGHT = "Fraction"  # where another term takes the rest of 1


def search_settings(stage: SearchStage, searched: TrainStage, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search does, for its spec.json; ``training`` are the resolved settings of the searched stage."""
    known = searchable(searched)
    return {
        "for": stage.searched,
        "kind": searched.kind,
        "training": dict(training),
        "trials": stage.trials,
        "epochs": stage.epochs,
        "space": {key: _axis_json(searched, key, axis, known[key]) for key, axis in stage.space.items()},
    }


def searchable(stage: TrainStage) -> dict[str, str]:
    """Return dotted key -> annotation of every setting of a stage that may be searched.

    These are the weights of its losses and the arguments of what it names in the catalogue, lists excepted; of its
    model, its data and its augmentation none, so that all trials compare the same student on the same task.
    """
    found: dict[str, str] = {}
    components: dict[str, Component | None] = {"optimizer": stage.optimizer, "schedule": stage.schedule}
    if isinstance(stage, DistillStage):
        components["weighting"] = stage.weighting if len(stage.teacher) > 1 else None
        components["temperature"] = stage.temperature
    for kind, component in components.items():
        found |= _arguments(kind, component.name, kind) if component else {}
    for name in stage.loss:
        own = _arguments("loss", name, f"loss.{name}")
        if components.get("temperature"):  # it replaces those of the losses
            own.pop(f"loss.{name}.temperature", None)
        found |= {f"loss.{name}.weight": _SHARED_WEIGHT if stage.weights_share_one else _WEIGHT, **own}
    return found


def search_faults(job: Job, name: str, stage: SearchStage, place: Address) -> Iterator[Fault]:
    """Yield the faults of what a search says of the stage it is for, of its bounds and of its memory."""
    searched, where = job.stages.get(stage.searched), (*place, "for")
    if searched is None:
        others = [other for other in job.stages if other != name]
        yield where, f"unknown stage '{stage.searched}'{did_you_mean(stage.searched, others)}"
    elif not isinstance(searched, TrainStage):
        yield where, f"stage '{stage.searched}' trains no model; there is nothing to search"
    else:
        other = searched.configuration
        if other is not None and other != name and isinstance(job.stages.get(other), SearchStage):
            yield where, f"stage '{stage.searched}' has its settings from search '{other}'; there can be only one"
        yield from _space_faults(stage, searched, (*place, "space"))
        for reference, parent in references(job, name).items():
            if not reference.startswith("memory"):
                yield from seed_faults(job, name, parent, where)
    gpus = job.resources.gpus if stage.resources.gpus is None else stage.resources.gpus
    if gpus is not None and gpus > 1:
        yield (*place, "resources"), f"a search trains on one GPU, not {gpus}; set 'resources: {{gpus: 1}}' here"
    yield from _memory_faults(job, name, stage, (*place, "memory"))


def configuration_faults(job: Job, name: str, stage: TrainStage, place: Address) -> Iterator[Fault]:
    """Yield why a stage could not train with what the search that it names finds."""
    if stage.configuration is None:
        return
    where = (*place, "configuration")
    yield from _search_named(job, name, stage.configuration, where)
    search = job.stages.get(stage.configuration)
    searched = job.stages.get(search.searched) if isinstance(search, SearchStage) else None
    if not isinstance(search, SearchStage) or not isinstance(searched, TrainStage):
        return
    known, searched_settings = searchable(stage), searchable(searched)
    chosen = {key: partner_of(searched, key) for key in search.space if key in searched_settings}
    for key in dict.fromkeys([*chosen, *filter(None, chosen.values())]):
        if key not in known:
            yield where, f"search '{stage.configuration}' chooses '{key}', which stage '{name}' does not have"
    if stage.weights_share_one and any(_is_weight(key) and partner is None for key, partner in chosen.items()):
        yield where, "the weights of ce and kd would not sum to 1 (set 'free_weights: true' to mean it)"


def partner_of(stage: TrainStage, key: str) -> str | None:
    """Return the weight that takes the rest of 1 when ``key`` is set, or None."""
    if not stage.weights_share_one or not _is_weight(key):
        return None
    ce, kd = (f"loss.{term}.weight" for term in HINTON)
    return kd if key == ce else ce


def _space_faults(stage: SearchStage, searched: TrainStage, place: Address) -> Iterator[Fault]:
    known = searchable(searched)
    for key, axis in stage.space.items():
        where = (*place, key)
        if key not in known:
            yield where, f"stage '{stage.searched}' has no setting '{key}' to search{did_you_mean(key, list(known))}"
        elif axis.choices is None:
            yield from _range_faults(axis, known[key], where)
        else:
            yield from _choice_faults(axis.choices, known[key], where)
    weights = [key for key in stage.space if partner_of(searched, key)]
    if len(weights) > 1:
        yield (*place, weights[1]), f"the rest of '{weights[0]}' to 1: search one of them (or set 'free_weights: true')"


def _range_faults(axis: Axis, annotation: str, where: Address) -> Iterator[Fault]:
    whole = _is_whole(annotation)
    if whole is None:
        yield where, f"{where[-1]} takes no range; list its choices"
        return
    for bound in ("low", "high"):
        value = getattr(axis, bound)
        if fault := argument_fault(annotation, int(value) if whole and value.is_integer() else value):
            yield (*where, bound), f"{bound}: {fault[1]}"
    if axis.low >= axis.high:
        yield (*where, "low"), f"low must be less than high, got {axis.low:g} and {axis.high:g}"
    if axis.log and axis.low <= 0:
        yield (*where, "low"), f"a log scale begins above 0, got {axis.low:g}"


def _choice_faults(choices: list[Any], annotation: str, where: Address) -> Iterator[Fault]:
    for index, choice in enumerate(choices):
        if fault := argument_fault(annotation, choice):
            yield (*where, index), f"{where[-1]}: {fault[1]}"
        elif choice in choices[:index]:
            yield (*where, index), f"{shown(choice)} is given twice"


def _memory_faults(job: Job, name: str, stage: SearchStage, place: Address) -> Iterator[Fault]:
    for index, memory in enumerate(stage.memory):
        where = (*place, index)
        if memory in stage.memory[:index]:
            yield where, f"stage '{memory}' is named twice"
        else:
            yield from _search_named(job, name, memory, where)


def _search_named(job: Job, name: str, search: str, where: Address) -> Iterator[Fault]:
    stage = job.stages.get(search)
    if stage is None:
        others = [other for other, each in job.stages.items() if isinstance(each, SearchStage) and other != name]
        yield where, f"unknown search '{search}'{did_you_mean(search, others)}"
    elif not isinstance(stage, SearchStage):
        yield where, f"stage '{search}' is no search"
    else:
        yield from seed_faults(job, name, search, where)


def _axis_json(searched: TrainStage, key: str, axis: Axis, annotation: str) -> dict[str, Any]:
    """Return an axis as a spec.json has it, with the weight that takes the rest of 1 where there is one."""
    partner = partner_of(searched, key)
    rest = {"partner": partner} if partner else {}
    if axis.choices is not None:
        return {"choices": [normalised(annotation, choice) for choice in axis.choices], **rest}
    return {"low": axis.low, "high": axis.high, "log": axis.log, "whole": bool(_is_whole(annotation)), **rest}


def _arguments(kind: str, name: str, prefix: str) -> dict[str, str]:
    """Return dotted key -> annotation of the arguments of a catalogue entry; nothing for an unknown one."""
    entry = catalog.find(kind, name)
    return {
        f"{prefix}.{key}": argument.annotation
        for key, argument in (entry.arguments if entry else {}).items()
        if element_of(parse_annotation(argument.annotation)) is None
    }


def _is_whole(annotation: str) -> bool | None:
    """Whether an annotation takes whole numbers only; None where it takes no numbers."""
    names = [getattr(choice, "id", "") for choice in alternatives(parse_annotation(annotation))]
    ranges = [RANGES[name] for name in names if name in RANGES]
    return all(allowed.whole for allowed in ranges) if ranges else None


def _is_weight(key: str) -> bool:
    return key in [f"loss.{term}.weight" for term in HINTON]
