"""``code:`` of a job file: its modules become known to this process, and names in them get their modules' names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kd.errors import SpecError
from kd.jobfile.overrides import replace
from kd.jobfile.schema import Augment, Component, Data, TermOptions
from kd.jobfile.source import Document
from kd.jobfile.stage import Pipeline, Stage
from kd.user_code import sources
from kd.user_code.frozen import collect
from kd.user_code.names import whole_name

CODE = "code"


def bind_listed_code(document: Document, folder: Path) -> Document:
    """Read the modules that a job file lists, relative to its ``folder``, and return it with absolute paths.

    This process knows them from now on, in place of those of an earlier job file; nothing is imported. Raises
    SpecError, with the line of the list and that of the module, when one cannot be read.
    """
    listed = document.data.get(CODE, [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        sources.bind([])
        return document  # the schema refuses it
    paths = [Path(os.path.abspath(folder / os.path.expanduser(each))) for each in listed]
    for index in range(len(paths)):
        try:
            collect(paths[: index + 1])
        except sources.NotReadable as reason:
            raise SpecError([document.line((CODE, index), str(reason))]) from None
    sources.bind(collect(paths))
    for index, path in enumerate(paths):
        place = document.positions.get((CODE, index), document.name)
        document = replace(document, (CODE, index), str(path), place)
    return document


def with_whole_names(pipeline: Pipeline) -> Pipeline:
    """Return a checked pipeline in which each name of the user's own code has its module's name before it."""
    if not sources.bound():
        return pipeline
    stages = {name: _stage(stage) for name, stage in pipeline.stages.items()}
    return pipeline.model_copy(update={"data": _data(pipeline.data), "stages": stages})


def _stage(stage: Stage) -> Stage:
    """Return a stage with whole names, wherever its kind names code that may be the user's."""
    parts = {key: _PARTS[key](value) for key, value in stage if key in _PARTS and value is not None}
    return stage.model_copy(update=parts)


def _component(given: Component) -> Component:
    whole = whole_name(given.name)
    return given.model_copy(update={"name": whole}) if whole else given


def _data(given: Data) -> Data:
    whole = whole_name(given.name)
    return given.model_copy(update={"name": whole}) if whole else given


def _augment(given: Augment) -> Augment:
    return given.model_copy(update={"own": _component(given.own)}) if given.own else given


def _loss(terms: dict[str, TermOptions]) -> dict[str, TermOptions]:
    """Return the terms under their names; each says which loss of the user's it is."""
    whole = {name: whole_name(term.loss or name) for name, term in terms.items()}
    return {name: term.model_copy(update={"loss": whole[name] or term.loss}) for name, term in terms.items()}


_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "model": _component,
    "data": _data,
    "augment": _augment,
    "loss": _loss,
}
