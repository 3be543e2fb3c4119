"""From a Job to a job graph: stages times seeds, with everything each job needs resolved and a fingerprint each.

A Plan is a plain value: it can be printed, diffed and stored (plan.json) before anything runs. Jobs stand in an order
in which every parent comes before its children.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from kd.catalog import resolve_arguments
from kd.jobfile.graph import data_of, in_order, references, seeds_of
from kd.jobfile.identity import data_identity
from kd.jobfile.schema import (
    Augment,
    CacheStage,
    Component,
    Data,
    DistillStage,
    ExportStage,
    Job,
    ReportStage,
    Resources,
    SearchStage,
    SelectStage,
    TrainStage,
)
from kd.jobfile.searching import search_settings
from kd.jobfile.versions import versions_of
from kd.rundir.folders import JobKey

FORMAT = 1
Worker: TypeAlias = TrainStage | CacheStage | SelectStage | ExportStage | SearchStage  # every stage but the report
# Options that are off unless a stage says otherwise. Off, they are absent from the settings, so that a new option
# changes no fingerprint.
OPTIONS = ("mixup", "cutmix", "ema", "clip", "accumulate", "early_stopping", "prune", "modalities", "attack")
# Settings that change how a stage runs but not what comes out of it.
NOT_IN_FINGERPRINT = ("checkpoint_every", "compile", "for")


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What one job asks of a machine."""

    gpus: int
    cpus: int
    memory_mb: int
    minutes: int
    gpu_type: str | None = None


TRAINING_NEEDS = Needs(gpus=1, cpus=4, memory_mb=16 * 1024, minutes=24 * 60)
MEASURING_NEEDS = Needs(gpus=0, cpus=4, memory_mb=16 * 1024, minutes=60)
REPORT_NEEDS = Needs(gpus=0, cpus=1, memory_mb=4 * 1024, minutes=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedJob:
    """One job: a stage and a seed. ``parents`` maps a reference of the spec (``teacher``) to the job it means."""

    key: JobKey
    kind: str
    role: str | None
    parents: Mapping[str, JobKey]
    waits_for_all_ended: bool  # the report: runs whatever became of the others
    needs: Needs
    fingerprint: str
    spec: Mapping[str, Any]  # the whole of spec.json


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A whole run as a job graph."""

    pipeline: str
    about: str
    seeds: tuple[int, ...]
    jobs: tuple[PlannedJob, ...]
    comparisons: Mapping[str, Sequence[str]]  # asked for by the report: a stage, and those it is compared with

    def by_stage(self) -> dict[str, list[PlannedJob]]:
        """Return the jobs grouped by stage, both in plan order."""
        groups: dict[str, list[PlannedJob]] = {}
        for job in self.jobs:
            groups.setdefault(job.key.stage, []).append(job)
        return groups

    def parents_of(self, job: PlannedJob) -> tuple[JobKey, ...]:
        """Return the jobs this one waits for: its references, or for the report all that train."""
        if job.waits_for_all_ended:
            return tuple(other.key for other in self.jobs if not other.waits_for_all_ended)
        return tuple(dict.fromkeys(job.parents.values()))

    def to_json(self) -> dict[str, Any]:
        """Return the content of plan.json, without the specs (each lies in its stage folder)."""
        return {
            "format": FORMAT,
            "pipeline": self.pipeline,
            "about": self.about,
            "seeds": list(self.seeds),
            "comparisons": {name: list(others) for name, others in self.comparisons.items()},
            "jobs": [_job_to_json(job) for job in self.jobs],
        }


def plan_job(job: Job) -> Plan:
    """Expand a checked Job into its job graph. Raises DataError when a data root cannot be read."""
    identities: dict[str | None, str] = {}
    jobs: dict[JobKey, PlannedJob] = {}
    for name in in_order(job):
        stage = job.stages[name]
        if isinstance(stage, Worker):
            data = data_of(job, name)
            if data.root not in identities:
                identities[data.root] = data_identity(data.root)
            expanded = _expand(job, name, stage, identities[data.root], jobs)
        else:
            expanded = [_report(job, name, stage, jobs)]
        jobs.update({planned.key: planned for planned in expanded})
    return Plan(
        pipeline=job.pipeline,
        about=job.about,
        seeds=tuple(job.seeds),
        jobs=tuple(jobs.values()),
        comparisons=_comparisons(job),
    )


def _expand(
    job: Job,
    name: str,
    stage: Worker,
    identity: str,
    planned: Mapping[JobKey, PlannedJob],
) -> list[PlannedJob]:
    """Return the jobs of a stage that is not the report, one per seed."""
    settings = _settings(job, stage)
    data = _data_json(data_of(job, name))
    needs = _needs(MEASURING_NEEDS, stage.resources)
    if isinstance(stage, (TrainStage, CacheStage, SearchStage)):
        needs = _needs(TRAINING_NEEDS, job.resources, stage.resources)
    same_content = {"settings": _deciding(settings), "data": {**data, "root": identity}}
    jobs = []
    for seed in seeds_of(job, name):
        parents = _parents(job, name, seed)
        lineage = {reference: planned[parent].fingerprint for reference, parent in parents.items()}
        fingerprint = _fingerprint(stage.kind, {**same_content, "seed": seed, "parents": lineage})
        spec = {
            "format": FORMAT,
            "pipeline": job.pipeline,
            "stage": name,
            "seed": seed,
            "kind": stage.kind,
            "role": None if isinstance(stage, (CacheStage, SearchStage)) else stage.role,
            "fingerprint": fingerprint,
            "parents": {
                reference: {**parent._asdict(), "fingerprint": lineage[reference]}
                for reference, parent in parents.items()
            },
            "data": data,
            "settings": settings,
            "resources": asdict(needs),
        }
        jobs.append(_planned(spec, parents, needs))
    return jobs


def _report(job: Job, name: str, stage: ReportStage, planned: Mapping[JobKey, PlannedJob]) -> PlannedJob:
    lineage = {str(other.key): other.fingerprint for other in planned.values() if other.kind != "report"}
    needs = _needs(REPORT_NEEDS, stage.resources)
    settings = {"compare": stage.compare} if stage.compare else {}
    spec = {
        "format": FORMAT,
        "pipeline": job.pipeline,
        "stage": name,
        "seed": None,
        "kind": "report",
        "role": None,
        "fingerprint": _fingerprint("report", {"parents": lineage, **settings}),
        "parents": {},
        "data": None,
        "settings": settings,
        "resources": asdict(needs),
    }
    return _planned(spec, {}, needs)


def _comparisons(job: Job) -> dict[str, list[str]]:
    """Return which stages the reports compare with which."""
    asked: dict[str, list[str]] = {}
    for stage in job.stages.values():
        for name, others in stage.compare.items() if isinstance(stage, ReportStage) else ():
            asked[name] = list(dict.fromkeys([*asked.get(name, []), *others]))
    return asked


def _parents(job: Job, name: str, seed: int) -> dict[str, JobKey]:
    """Return the jobs that a stage's references mean for a seed: the same seed's, or the only one there is."""
    parents = {}
    for reference, teacher in references(job, name).items():
        seeds = seeds_of(job, teacher)
        assert seed in seeds or len(seeds) == 1, f"stage '{teacher}' has no seed {seed}"
        parents[reference] = JobKey(teacher, seed if seed in seeds else seeds[0])
    return parents


def _planned(spec: Mapping[str, Any], parents: Mapping[str, JobKey], needs: Needs) -> PlannedJob:
    return PlannedJob(
        key=JobKey(spec["stage"], spec["seed"]),
        kind=spec["kind"],
        role=spec["role"],
        parents=parents,
        waits_for_all_ended=spec["kind"] == "report",
        needs=needs,
        fingerprint=spec["fingerprint"],
        spec=spec,
    )


def _settings(job: Job, stage: Worker) -> dict[str, Any]:
    """Return what a stage does, with the catalogue's defaults filled in, so that a spec.json says all."""
    if isinstance(stage, SearchStage):
        searched = job.stages[stage.searched]
        assert isinstance(searched, TrainStage)
        return search_settings(stage, searched, _training_settings(searched))
    if isinstance(stage, CacheStage):
        return _cache_settings(stage)
    if isinstance(stage, SelectStage):
        return {"minimum_gain": stage.minimum_gain}
    return _export_settings(stage) if isinstance(stage, ExportStage) else _training_settings(stage)


def _training_settings(stage: TrainStage) -> dict[str, Any]:
    return {
        "model": _component("model", stage.model),
        "epochs": stage.epochs,
        "batch_size": stage.batch_size,
        "optimizer": _component("optimizer", stage.optimizer),
        "schedule": _component("schedule", stage.schedule),
        "loss": {
            name: {"weight": term.weight, "arguments": resolve_arguments("loss", name, term.arguments)}
            for name, term in stage.loss.items()
        },
        "augment": _augment(stage.augment),
        **stage.model_dump(include=set(OPTIONS), exclude_none=True),
        **({"int8_aware": True} if stage.int8_aware else {}),
        **(_teaching(stage) if isinstance(stage, DistillStage) else {}),
        "precision": stage.precision,
        "deterministic": stage.deterministic,
        "compile": stage.compile,
        "checkpoint_every": stage.checkpoint_every,
    }


def _teaching(stage: DistillStage) -> dict[str, Any]:
    """Return how several teachers are weighed and how the temperature changes, each only where it matters."""
    several = {"weighting": _component("weighting", stage.weighting)} if len(stage.teacher) > 1 else {}
    scheduled = {"temperature": _component("temperature", stage.temperature)} if stage.temperature else {}
    return {**several, **scheduled}


def _cache_settings(stage: CacheStage) -> dict[str, Any]:
    return {
        "views": stage.views,
        "pooled": stage.pooled,
        "augment": _augment(stage.augment),
        "precision": stage.precision,
        "deterministic": stage.deterministic,
    }


def _export_settings(stage: ExportStage) -> dict[str, Any]:
    calibrated = stage.format == "static_int8"
    return {
        "format": stage.format,
        **({"calibration_batches": stage.calibration_batches} if calibrated else {}),
    }


def _augment(augment: Augment) -> dict[str, Any]:
    return {key: value for key, value in augment.model_dump().items() if key != "cutout" or value}


def _component(kind: str, component: Component) -> dict[str, Any]:
    return {"name": component.name, "arguments": resolve_arguments(kind, component.name, component.arguments)}


def _data_json(data: Data) -> dict[str, Any]:
    return {
        "name": data.name,
        "root": data.root,
        "arguments": resolve_arguments("dataset", data.name, data.arguments),
        "validation": data.validation,
        "train_subset": data.train_subset,
        "test_subset": data.test_subset,
    }


def _deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what comes out of a stage; those of a search hold the stage's it is for.

    A file of weights counts by what is in it.
    """
    kept = {
        key: _deciding(value) if key == "training" else value
        for key, value in settings.items()
        if key not in NOT_IN_FINGERPRINT
    }
    arguments = kept.get("model", {}).get("arguments", {})
    if isinstance(file := arguments.get("pretrained"), str):
        kept["model"] = {**kept["model"], "arguments": {**arguments, "pretrained": data_identity(file)}}
    return kept


def _fingerprint(kind: str, content: Mapping[str, Any]) -> str:
    """Return a digest of everything that changes the result, and of nothing else."""
    whole = {**content, "kind": kind, "code": versions_of(kind)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


def _needs(defaults: Needs, *layers: Resources) -> Needs:
    """Return the defaults overridden by each layer's given values, the last layer winning."""
    chosen = asdict(defaults)
    for layer in layers:
        given = {
            "gpus": layer.gpus,
            "cpus": layer.cpus,
            "memory_mb": layer.memory,
            "minutes": layer.time,
            "gpu_type": layer.gpu_type,
        }
        chosen.update({name: value for name, value in given.items() if value is not None})
    return Needs(**chosen)


def _job_to_json(job: PlannedJob) -> dict[str, Any]:
    return {
        "stage": job.key.stage,
        "seed": job.key.seed,
        "kind": job.kind,
        "role": job.role,
        "fingerprint": job.fingerprint,
        "parents": {name: parent._asdict() for name, parent in job.parents.items()},
        "resources": asdict(job.needs),
    }
