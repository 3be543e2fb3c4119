"""``kind: report``: assemble the report from whatever finished."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.errors import did_you_mean
from kd.jobfile.faults import repeated_stage_faults
from kd.jobfile.schema import Names, StageName
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits
from kd.rundir.stage_spec import Needs, ReportSettings

TARGET = re.compile(r"\s*(>=|<=|>|<)\s*(0?\.\d+|0|1(\.0*)?)\s*")
REPORT_NEEDS = Needs(gpus=0, cpus=1, memory_mb=4 * 1024, minutes=30)


class ReportStage(Stage):
    """Assemble the report from whatever finished."""

    kind: Literal["report"]
    compare: dict[StageName, Names] = Field(
        default={}, description="Which stages are compared, each with one or several; default: distilled with baseline"
    )
    headline: StageName | None = Field(
        default=None, description="The stage that is 'the student with distillation'; default: the first distilled one"
    )
    expect: dict[StageName, str] = Field(
        default={}, description="Targets of test metrics, chosen before the results: {distilled: '>= 0.99'}"
    )

    traits: ClassVar[Traits] = Traits(
        gives="nothing",
        trains=False,
        measures_accuracy=False,
        layers=("report",),
        needs=REPORT_NEEDS,
        takes_pipeline_resources=False,
        waits_for_all_ended=True,
    )
    example: ClassVar[Mapping[str, object]] = {"kind": "report", "compare": {"assisted": "student"}}

    def comparisons(self) -> Mapping[str, Sequence[str]]:
        """Return which stages are compared, each with those that it is compared with."""
        return self.compare

    def headlined(self) -> str | None:
        """Return the stage that the report's number of the student is of, where the job file names one."""
        return self.headline

    def expectations(self) -> Mapping[str, str]:
        """Return the targets, by stage."""
        return self.expect

    def own(self, pipeline: Pipeline) -> Own:
        """Nothing: one report is of all seeds and all data."""
        return Own()

    def follows(self) -> str | None:
        """No stage: it waits for all of them."""
        return None

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """None: it reads whatever finished."""
        return {}

    def settings(self, pipeline: Pipeline) -> ReportSettings:
        """What it was asked for."""
        return ReportSettings(compare=self.compare, headline=self.headline, expect=self.expect)

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """The same: it takes seconds anyway."""
        return self

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is asked of stages that a report has no accuracies of, and targets that are none."""
        if self.headline is not None:
            yield from _unmeasured(pipeline, self.headline, ("stages", name, "headline"))
        for stage, target in self.expect.items():
            where: Address = ("stages", name, "expect", stage)
            yield from _unmeasured(pipeline, stage, where)
            if TARGET.fullmatch(target) is None:
                yield where, f"'{target}' is no target: write '>= 0.99', the metric as a fraction from 0 to 1"
        address: Address = ("stages", name, "compare")
        for compared, others in self.compare.items():
            yield from _unmeasured(pipeline, compared, (*address, compared))
            for index, other in enumerate(others):
                here = (*address, compared, index)
                if other == compared:
                    yield here, f"stage '{compared}' is compared with itself"
                else:
                    yield from _unmeasured(pipeline, other, here)
            yield from repeated_stage_faults(others, (*address, compared))


def _unmeasured(pipeline: Pipeline, name: str, address: Address) -> Iterator[Fault]:
    stage = pipeline.stages.get(name)
    if stage is None:
        yield address, f"unknown stage '{name}'{did_you_mean(name, list(pipeline.stages))}"
    elif not stage.traits.measures_accuracy:
        yield address, f"stage '{name}' measures no accuracy"
