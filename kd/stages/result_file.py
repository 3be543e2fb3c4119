"""The part of result.json that every stage kind writes: identity, files, job, device and data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from kd.rundir.result_sections import DataFacts, JobFacts
from kd.rundir.stage_result import FORMAT
from kd.rundir.stage_spec import AnySpec, Parent
from kd.stages.context import StageContext

if TYPE_CHECKING:  # the report needs neither, nor torch
    from kd.stages.stage_data import StageData
    from kd.train.device import Runtime


class Identity(TypedDict):
    """The entries of a StageResult for the identity of the stage, its files and its job."""

    format: int
    stage: str
    seed: int | None
    kind: str
    role: str | None
    pipeline: str
    fingerprint: str
    parents: dict[str, Parent]
    files: dict[str, str]
    job: JobFacts
    finished: float


class Circumstances(TypedDict):
    """The entries of a StageResult for the device, precision and data it was measured with."""

    device: str
    precision: str
    torch: str
    data: DataFacts


def identity(context: StageContext, spec: AnySpec, files: Mapping[str, str]) -> Identity:
    """Return the identity of a stage that has just finished. ``files`` are its artefacts with their SHA-256."""
    return Identity(
        format=FORMAT,
        stage=spec.stage,
        seed=spec.seed,
        kind=spec.kind,
        role=spec.role,
        pipeline=spec.pipeline,
        fingerprint=spec.fingerprint,
        parents=spec.parents,
        files=dict(files),
        job=context.facts(),
        finished=time.time(),
    )


def circumstances(runtime: Runtime, data: StageData, *, precision: str | None = None) -> Circumstances:
    """Return the device, precision and data of a measurement; ``precision`` is the runtime's unless it is given."""
    import torch

    return Circumstances(
        device=runtime.description,
        precision=precision or runtime.precision,
        torch=str(torch.__version__),  # a subclass of str, which no JSON encoder knows
        data=data.facts(),
    )
