"""From a job file on disk to a checked Pipeline: read, override, validate, and answer every fault with one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from kd.errors import SpecError, did_you_mean
from kd.jobfile.data_layout import layout_faults
from kd.jobfile.environment import expand_paths
from kd.jobfile.epochs import with_epochs
from kd.jobfile.faults import data_faults, repeated_seed_faults
from kd.jobfile.graph import cycle, waiting_key
from kd.jobfile.overrides import apply_override, is_of_shorthand, replace
from kd.jobfile.shorthand import write_out
from kd.jobfile.source import Address, Document, read_document
from kd.jobfile.stage import Fault, Pipeline, Stage, stage_kinds
from kd.jobfile.tiny import shrink
from kd.jobfile.user_names import bind_listed_code, with_whole_names
from kd.jobfile.validation_messages import fault_of
from kd.places import find_job_file


def load_pipeline(
    path: str,
    *,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] = (),
    epochs: int | None = None,
    tiny: bool = False,
    unset: set[str] | None = None,
) -> Pipeline:
    """Load and check a job file.

    ``overrides`` are ``dotted.key=value`` texts, ``seeds`` replace the file's, ``epochs`` shortens every training and
    its schedule to so many, ``tiny`` keeps the graph and shrinks the work to seconds. With ``unset``, which a preview
    gives, variables of the environment that are not set are no fault, and their names are added to it. Raises
    SpecError with one line per fault, in the order of the file.
    """
    document = read_document(find_job_file(path), shown_as=path)
    for override in filter(is_of_shorthand, overrides):
        document = apply_override(document, override)
    document = bind_listed_code(document, Path(find_job_file(path)).parent)
    document = write_out(document)
    for override in overrides:
        if not is_of_shorthand(override):
            document = apply_override(document, override)
    if epochs is not None:
        document = with_epochs(document, epochs)
    if seeds:
        document = replace(document, ("seeds",), list(seeds), f"--seeds {','.join(map(str, seeds))}")
    pipeline = with_whole_names(validate(document))
    if tiny:
        return shrink(pipeline)
    pipeline, unexpanded = expand_paths(pipeline, unset=unset)
    _refuse(document, unexpanded)
    _refuse(document, layout_faults(pipeline))
    return pipeline


def validate(document: Document) -> Pipeline:
    """Return the pipeline that a document describes. Raises SpecError with one line per fault."""
    try:
        pipeline = Pipeline.model_validate(document.data)
    except ValidationError as error:
        _refuse(document, [_fault(detail, document.data) for detail in error.errors(include_url=False)])
        raise
    _refuse(document, _faults(pipeline))
    return pipeline


def _faults(pipeline: Pipeline) -> Iterator[Fault]:
    """Yield what a well-shaped file gets wrong: its own parts, every stage by its kind, and cycles."""
    yield from data_faults(pipeline.data, ("data",))
    yield from repeated_seed_faults(pipeline.seeds, ("seeds",))
    for name, stage in pipeline.stages.items():
        yield from stage.faults(pipeline, name)
    if all(stage.traits.waits_for_all_ended for stage in pipeline.stages.values()):
        yield ("stages",), "there is nothing to train: only report stages"
    if stages := cycle(pipeline):
        key = waiting_key(pipeline, stages[0], stages[1] if len(stages) > 1 else stages[0])
        yield ("stages", stages[0], key), f"stages wait for each other: {' → '.join([*stages, stages[0]])}"


def _refuse(document: Document, found: Iterable[Fault]) -> None:
    order = {address: index for index, address in enumerate(document.positions)}
    ordered = sorted(dict.fromkeys(found), key=lambda fault: order.get(document.nearest(fault[0]), -1))
    if ordered:
        raise SpecError([document.line(address, message) for address, message in ordered]) from None


def _fault(detail: Any, data: dict[str, Any]) -> Fault:
    address = _address(detail, data)
    if detail["type"] == "union_tag_not_found":
        return address, f"'kind' is missing (known: {', '.join(stage_kinds())})"
    if detail["type"] == "union_tag_invalid":
        tag = str(detail["ctx"]["tag"])
        return (*address, "kind"), f"unknown kind '{tag}'{did_you_mean(tag, list(stage_kinds()))}"
    return fault_of(detail, address, _known_keys(address[:-1], data))


def _address(detail: Any, data: dict[str, Any]) -> Address:
    """Turn pydantic's location into the document's: drop the stage kind's tag and the marker of a bad key."""
    parts = list(detail["loc"])
    if parts[-1:] == ["[key]"] and detail["type"] != "extra_forbidden":
        del parts[-1]
    if len(parts) > 2 and parts[0] == "stages":
        stage = data["stages"].get(parts[1])
        if isinstance(stage, dict) and parts[2] == stage.get("kind"):
            del parts[2]
    return tuple(parts)


def _known_keys(address: Address, data: dict[str, Any]) -> list[str]:
    """Return the keys allowed at an address, for a did-you-mean."""
    model: type[BaseModel] = Pipeline
    if address[:1] == ("stages",):
        kind = data["stages"][address[1]].get("kind") if len(address) > 1 else None
        model, address = stage_kinds().get(str(kind), Stage), address[2:]
    if address:
        field = model.model_fields.get(str(address[0]))
        model = next(_models_in(field.annotation), BaseModel) if field else BaseModel
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation names: ``Ema`` of ``Ema | None``, those of a mapping's values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
