"""Which stage waits for which: references, seeds, order and cycles of a pipeline's stages."""

from __future__ import annotations

from collections.abc import Iterator

from kd.jobfile.schema import Data
from kd.jobfile.stage import Pipeline, Stage


def references(pipeline: Pipeline, name: str) -> dict[str, str]:
    """Return reference -> stage of a stage, whether the stages that it names are there or not."""
    return pipeline.stages[name].references(pipeline)


def seeds_of(pipeline: Pipeline, name: str) -> list[int]:
    """Return the seeds that multiply a stage: its own, else those of the stage it follows, else the pipeline's."""
    own = (stage.own(pipeline).seeds for stage in _followed(pipeline, name))
    return next(filter(None, own), pipeline.seeds)


def data_of(pipeline: Pipeline, name: str) -> Data:
    """Return the data of a stage: its own, else those of the stage it follows, else the pipeline's."""
    own = (stage.own(pipeline).data for stage in _followed(pipeline, name))
    return next(filter(None, own), pipeline.data)


def cycle(pipeline: Pipeline) -> list[str]:
    """Return the stages of the first cycle in the order of their waiting, or nothing."""
    cleared: set[str] = set()
    for start in pipeline.stages:
        path = {start: _present_parents(pipeline, start)}
        while path:
            name = next(reversed(path))
            parent = next((parent for parent in path[name] if parent not in cleared), None)
            if parent is None:
                cleared.add(name)
                del path[name]
            elif parent in path:
                stages = list(path)
                return stages[stages.index(parent) :]
            else:
                path[parent] = _present_parents(pipeline, parent)
    return []


def waiting_key(pipeline: Pipeline, name: str, parent: str) -> str:
    """Return the key under which a stage names the parent that it waits for."""
    reference = next(reference for reference, stage in references(pipeline, name).items() if stage == parent)
    return pipeline.stages[name].key_of(reference)


def in_order(pipeline: Pipeline) -> list[str]:
    """Return the stages of a pipeline without cycles: parents before children, reports last, otherwise as written."""
    order: dict[str, None] = {}
    for start in pipeline.stages:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            parent = next((parent for parent in _present_parents(pipeline, name) if parent not in order), None)
            if parent is None:
                order[waiting.pop()] = None
            else:
                waiting.append(parent)
    return sorted(order, key=lambda name: pipeline.stages[name].traits.waits_for_all_ended)


def _followed(pipeline: Pipeline, name: str) -> Iterator[Stage]:
    """Yield a stage, the one that it follows, the one that this follows, and so on."""
    following: str | None = name
    for _ in pipeline.stages:  # no chain is longer; one that never ends is reported as a cycle
        stage = pipeline.stages.get(following) if following is not None else None
        if stage is None:
            return
        yield stage
        following = stage.follows()


def _present_parents(pipeline: Pipeline, name: str) -> Iterator[str]:
    return (parent for parent in references(pipeline, name).values() if parent in pipeline.stages)
