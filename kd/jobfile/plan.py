"""From a Pipeline to a job graph: stages times seeds, with everything each job needs resolved and a fingerprint each.

A Plan is a plain value: it can be printed, compared and stored (plan.json) before anything runs. Jobs stand in an order
in which every parent comes before its children.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kd.jobfile.data_content import DataContent, data_content, known_content
from kd.jobfile.fingerprint import counted_by_content, fingerprint, stage_content
from kd.jobfile.graph import data_of, in_order, references, seeds_of
from kd.jobfile.resolve import resolved_data, resolved_needs, within_time
from kd.jobfile.schema import Resources
from kd.jobfile.stage import Pipeline, Stage, Traits
from kd.rundir.counted_file import Counted
from kd.rundir.folders import JobKey
from kd.rundir.plan_file import FORMAT, PlanFile, PlannedEntry
from kd.rundir.stage_spec import AnySpec, DataSpec, JobReference, Needs, Parent, Settings, StageSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedJob:
    """One job: a stage and a seed. ``spec`` is the whole of its spec.json."""

    spec: AnySpec
    needs: Needs  # as the spec has them, until a cluster's profile makes ``time: short`` its own
    waits_for_all_ended: bool  # the report: runs whatever became of the others
    counted: Mapping[str, str] = field(default_factory=dict)  # what counts by its content, in words -> its digest

    @property
    def key(self) -> JobKey:
        """The stage and the seed."""
        return self.spec.key

    @property
    def kind(self) -> str:
        """The kind of the stage."""
        return self.spec.kind

    @property
    def role(self) -> str | None:
        """Its place in the report."""
        return self.spec.role

    @property
    def fingerprint(self) -> str:
        """A digest of everything that changes the result."""
        return self.spec.fingerprint

    @property
    def parents(self) -> dict[str, JobKey]:
        """Reference of the spec (``teacher``) -> the job that it means."""
        return {reference: parent.key for reference, parent in self.spec.parents.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A whole run as a job graph."""

    pipeline: str
    about: str
    seeds: tuple[int, ...]
    jobs: tuple[PlannedJob, ...]
    comparisons: Mapping[str, Sequence[str]]  # asked for by the report: a stage, and those it is compared with
    headline: str | None  # the stage whose accuracy the report gives as that of the student
    expect: Mapping[str, str]  # targets that the report checks, by stage
    folders: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of data -> file -> its digest
    shared: Mapping[JobKey, JobKey] = field(default_factory=dict)  # a job -> the same one, which is done in its stead

    def by_stage(self) -> dict[str, list[PlannedJob]]:
        """Return the jobs grouped by stage, both in plan order."""
        groups: dict[str, list[PlannedJob]] = {}
        for job in self.jobs:
            groups.setdefault(job.key.stage, []).append(job)
        return groups

    def parents_of(self, job: PlannedJob) -> tuple[JobKey, ...]:
        """Return the jobs this one waits for: its references, or for the report all that train."""
        if job.waits_for_all_ended:
            trained = (other.key for other in self.jobs if not other.waits_for_all_ended)
            return tuple(key for key in trained if key not in self.shared)
        return tuple(dict.fromkeys(self.shared.get(key, key) for key in job.parents.values()))

    def counted(self) -> Counted:
        """Return the content of counted.json."""
        stages = {stage: dict(jobs[0].counted) for stage, jobs in self.by_stage().items()}
        return Counted(stages=stages, folders={root: dict(files) for root, files in self.folders.items()})

    def to_file(self) -> PlanFile:
        """Return the content of plan.json, without the specs (each lies in its stage folder)."""
        return PlanFile(
            format=FORMAT,
            pipeline=self.pipeline,
            about=self.about,
            seeds=list(self.seeds),
            comparisons={name: list(others) for name, others in self.comparisons.items()},
            headline=self.headline,
            expect=dict(self.expect),
            jobs=[_entry(job) for job in self.jobs],
        )


def plan_pipeline(pipeline: Pipeline, results: Path | None = None) -> Plan:
    """Expand a checked Pipeline into its job graph. Raises DataError when a data root cannot be read.

    What jobs of a ``results`` folder have read of large data tells changes apart that a sample does not show.
    """
    contents: dict[str | None, DataContent] = {}
    jobs: dict[JobKey, PlannedJob] = {}
    for name in in_order(pipeline):
        stage = pipeline.stages[name]
        if stage.traits.waits_for_all_ended:
            expanded = [_last_job(pipeline, name, stage, jobs)]
        else:
            data = data_of(pipeline, name)
            if data.root not in contents:
                contents[data.root] = known_content(data.root, results) if results else data_content(data.root)
            expanded = _jobs_of(pipeline, name, stage, contents[data.root].identity, jobs)
        jobs.update({job.key: job for job in expanded})
    return Plan(
        pipeline=pipeline.pipeline,
        about=pipeline.about,
        seeds=tuple(pipeline.seeds),
        jobs=tuple(jobs.values()),
        comparisons=_comparisons(pipeline),
        folders={root: content.files for root, content in contents.items() if root and content.files},
        headline=next((chosen for stage in pipeline.stages.values() if (chosen := stage.headlined())), None),
        expect={name: target for stage in pipeline.stages.values() for name, target in stage.expectations().items()},
    )


def _jobs_of(
    pipeline: Pipeline, name: str, stage: Stage, identity: str, planned: Mapping[JobKey, PlannedJob]
) -> list[PlannedJob]:
    """Return the jobs of a stage, one per seed; ``identity`` is that of its data, by which they count."""
    settings, data = stage.settings(pipeline), resolved_data(data_of(pipeline, name))
    named = msgspec.to_builtins(settings), msgspec.to_builtins(data), identity
    content, counted = stage_content(*named), counted_by_content(*named, stage.traits.layers)
    jobs = []
    for seed in seeds_of(pipeline, name):
        parents = {
            reference: Parent(stage=key.stage, seed=key.seed, fingerprint=planned[key].fingerprint)
            for reference, key in _parents(pipeline, name, seed).items()
        }
        lineage = {reference: parent.fingerprint for reference, parent in parents.items()}
        digest = fingerprint(stage.kind, stage.traits.layers, {**content, "seed": seed, "parents": lineage})
        jobs.append(_planned(pipeline, name, settings, digest, seed=seed, parents=parents, data=data, counted=counted))
    return jobs


def _last_job(pipeline: Pipeline, name: str, stage: Stage, planned: Mapping[JobKey, PlannedJob]) -> PlannedJob:
    """Return the one job of a stage that waits for all others: it is of all seeds and all data."""
    settings = stage.settings(pipeline)
    lineage = {str(job.key): job.fingerprint for job in planned.values() if not job.waits_for_all_ended}
    content = {"parents": lineage, **msgspec.to_builtins(settings)}
    return _planned(pipeline, name, settings, fingerprint(stage.kind, stage.traits.layers, content))


def _planned(
    pipeline: Pipeline,
    name: str,
    settings: Settings,
    digest: str,
    *,
    seed: int | None = None,
    parents: dict[str, Parent] | None = None,
    data: DataSpec | None = None,
    counted: Mapping[str, str] | None = None,
) -> PlannedJob:
    stage = pipeline.stages[name]
    shared = (_usable(pipeline.resources, stage.traits),) if stage.traits.takes_pipeline_resources else ()
    needs = resolved_needs(within_time(stage.traits.needs, pipeline.resources), *shared, stage.resources)
    spec = StageSpec(
        pipeline=pipeline.pipeline,
        stage=name,
        seed=seed,
        kind=stage.kind,
        role=stage.own(pipeline).role,
        fingerprint=digest,
        parents=parents or {},
        data=data,
        settings=settings,
        resources=needs,
    )
    waits = stage.traits.waits_for_all_ended
    return PlannedJob(spec=spec, needs=needs, waits_for_all_ended=waits, counted=counted or {})


def _usable(resources: Resources, traits: Traits) -> Resources:
    """Return the pipeline's resources without the GPUs that a stage of this kind would leave idle."""
    if resources.gpus is None or traits.most_gpus is None:
        return resources
    return resources.model_copy(update={"gpus": min(resources.gpus, traits.most_gpus)})


def _comparisons(pipeline: Pipeline) -> dict[str, list[str]]:
    """Return which stages the reports compare with which."""
    asked: dict[str, list[str]] = {}
    for stage in pipeline.stages.values():
        for name, others in stage.comparisons().items():
            asked[name] = list(dict.fromkeys([*asked.get(name, []), *others]))
    return asked


def _parents(pipeline: Pipeline, name: str, seed: int) -> dict[str, JobKey]:
    """Return the jobs that a stage's references mean for a seed: the same seed's, or the only one there is."""
    parents = {}
    for reference, parent in references(pipeline, name).items():
        seeds = seeds_of(pipeline, parent)
        assert seed in seeds or len(seeds) == 1, f"stage '{parent}' has no seed {seed}"
        parents[reference] = JobKey(parent, seed if seed in seeds else seeds[0])
    return parents


def _entry(job: PlannedJob) -> PlannedEntry:
    return PlannedEntry(
        stage=job.key.stage,
        seed=job.key.seed,
        kind=job.kind,
        role=job.role,
        fingerprint=job.fingerprint,
        parents={name: JobReference(stage=parent.stage, seed=parent.seed) for name, parent in job.parents.items()},
        resources=job.needs,
    )
