"""Faults that stages of several kinds can have: in what they name in the catalogue, in their data, in other stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kd import catalog
from kd.errors import did_you_mean
from kd.jobfile.graph import data_of, seeds_of
from kd.jobfile.schema import Component, Data
from kd.jobfile.shapes import Shape, image_shape
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Pipeline
from kd.user_entries import double_meaning

_OF_WEIGHTS = (".pt", ".pth", ".bin", ".ckpt", ".tar", ".safetensors")  # how files of weights end


def component_faults(kind: str, component: Component, address: Address) -> Iterator[Fault]:
    """Yield the faults of a component, which stands under its kind in the stage at ``address``."""
    yield from named_faults(kind, component.name, component.arguments, (*address, kind), ["name"])


def named_faults(
    kind: str, name: str, given: Mapping[str, object], address: Address, own: Sequence[str]
) -> Iterator[Fault]:
    """Yield the faults of a name of the catalogue and of its arguments; ``own`` keys stand beside these."""
    entry = catalog.find(kind, name)
    if entry is None:
        # where the name is itself the key (a loss), the nearest known part of this address is the key
        yield (*address, "name"), catalog.unknown(kind, name)
        return
    if entry.identity is None and (twofold := double_meaning(kind, name)):
        yield (*address, "name"), twofold
    for inside, message in catalog.check_arguments(entry, kind, given, own):
        yield (*address, *inside), message


def data_faults(data: Data, address: Address) -> Iterator[Fault]:
    """Yield the faults of a data set."""
    yield from named_faults("dataset", data.name, data.arguments, address, list(Data.model_fields))
    if data.train_subset is not None and data.validation_images(data.train_subset) >= data.train_subset:
        yield (
            (*address, "validation"),
            f"{data.validation} validation images leave none to train on: train_subset is {data.train_subset}",
        )


def declared_shape(data: Data) -> Shape | None:
    """Return the declared shape of a data set, or None when none is, or when its name or arguments are wrong."""
    return None if any(data_faults(data, ())) else image_shape(data)


def repeated_seed_faults(seeds: Sequence[int], address: Address) -> Iterator[Fault]:
    """Yield the seeds of a list that are given twice."""
    met: set[int] = set()
    for index, seed in enumerate(seeds):
        if seed in met:
            yield (*address, index), f"seed {seed} is given twice"
        met.add(seed)


def repeated_stage_faults(names: Sequence[str], address: Address) -> Iterator[Fault]:
    """Yield the stages of a list that are named twice."""
    for index, name in enumerate(names):
        if name in names[:index]:
            yield (*address, index), f"stage '{name}' is named twice"


def model_faults(pipeline: Pipeline, name: str, parent: str, address: Address) -> Iterator[Fault]:
    """Yield why a stage cannot go on from the model of another: there is none, or not for all its seeds."""
    stage = pipeline.stages.get(parent)
    if stage is None:
        yield address, unknown_stage(pipeline, name, parent)
    elif stage.traits.gives != "model":
        yield address, f"stage '{parent}' trains no model"
    else:
        yield from missing_seed_faults(pipeline, name, parent, address)


def teacher_faults(pipeline: Pipeline, name: str, teacher: str, address: Address) -> Iterator[Fault]:
    """Yield why a stage cannot learn from another, or cache what that one teaches."""
    stage = pipeline.stages.get(teacher)
    if stage is None:
        yield address, unknown_stage(pipeline, name, teacher)
        return
    if stage.traits.gives not in ("model", "views"):
        yield address, f"stage '{teacher}' trains no model; it cannot teach"
        return
    taught = seeds_of(pipeline, teacher)
    lacking = sorted(set(seeds_of(pipeline, name)).difference(taught))
    if lacking and len(taught) > 1:
        has = ", ".join(map(str, taught[:5])) + (" …" if len(taught) > 5 else "")
        yield address, f"stage '{teacher}' has no seed {lacking[0]} to teach (it has {has})"
    seen, known = (declared_shape(data_of(pipeline, each)) for each in (name, teacher))
    if stage.traits.gives == "model" and seen and known and seen != known:
        yield address, f"stage '{teacher}' learns {known}; it cannot teach {seen}"


def search_reference_faults(pipeline: Pipeline, name: str, search: str, address: Address) -> Iterator[Fault]:
    """Yield why a stage cannot use what a search found: it is none, or not for all its seeds."""
    stage = pipeline.stages.get(search)
    if stage is None:
        searches = [other for other, each in pipeline.stages.items() if each.traits.gives == "settings"]
        known = [other for other in searches if other != name]
        yield address, f"unknown search '{search}'{did_you_mean(search, known)}"
    elif stage.traits.gives != "settings":
        yield address, f"stage '{search}' is no search"
    else:
        yield from missing_seed_faults(pipeline, name, search, address)


def missing_seed_faults(pipeline: Pipeline, name: str, parent: str, address: Address) -> Iterator[Fault]:
    """Yield the first seed of a stage for which its parent, which has several seeds, has none."""
    has = seeds_of(pipeline, parent) if parent in pipeline.stages else []
    lacking = sorted(set(seeds_of(pipeline, name)).difference(has))
    if lacking and len(has) > 1:
        yield address, f"stage '{parent}' has no seed {lacking[0]} (it has {', '.join(map(str, has[:5]))})"


def unknown_stage(pipeline: Pipeline, name: str, unknown: str) -> str:
    """Return the message that a stage named by stage ``name`` is not there, with the one probably meant."""
    if unknown.endswith(_OF_WEIGHTS):
        return f"'{unknown}' is no stage; make the file one: {{kind: weights, model: …, file: {unknown}}}"
    others = [other for other in pipeline.stages if other != name]
    return f"unknown stage '{unknown}'{did_you_mean(unknown, others)}"
