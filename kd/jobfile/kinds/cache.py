"""``kind: cache``: run a teacher once over fixed views of all training images; its students train on these views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.jobfile import tiny
from kd.jobfile.faults import data_faults, teacher_faults
from kd.jobfile.resolve import TRAINING_NEEDS, resolved_augment
from kd.jobfile.schema import Augment, DataSet, Precision
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits
from kd.rundir.stage_spec import CacheSettings


class CacheStage(Stage):
    """Run a teacher once over fixed views of all training images; its students train on these views."""

    kind: Literal["cache"]
    teacher: str = Field(description="The stage whose model is run")
    views: int = Field(default=8, gt=0, le=10_000, description="Epoch e of a student shows view e modulo this number")
    pooled: bool = Field(default=False, description="Keep the features in front of the classifier too")
    augment: Augment = Field(default=Augment(), description="Of its views; that of the students")
    data: DataSet | None = Field(default=None, description="Instead of the pipeline's data")
    precision: Precision = Field(
        default="auto", description="What the teacher multiplies in; auto: bfloat16 where it is fast"
    )
    deterministic: bool = Field(default=False, description="Bit-identical reruns on a GPU too, at some cost of speed")

    traits: ClassVar[Traits] = Traits(
        gives="views",
        trains=False,
        measures_accuracy=False,
        layers=("data", "models", "distill"),
        needs=TRAINING_NEEDS,
        takes_pipeline_resources=True,
        waits_for_all_ended=False,
        most_gpus=1,
    )
    example: ClassVar[Mapping[str, object]] = {"kind": "cache", "teacher": "teacher", "views": 4}

    def own(self, pipeline: Pipeline) -> Own:
        """The data: never those of the teacher, because a student may learn from other images than its teacher did."""
        return Own(data=self.data or pipeline.data)

    def follows(self) -> str | None:
        """Its teacher: there are as many caches as teachers."""
        return self.teacher

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """``teacher``."""
        return {"teacher": self.teacher}

    def settings(self, pipeline: Pipeline) -> CacheSettings:
        """Which views are made, and what is kept of each."""
        return CacheSettings(
            views=self.views,
            pooled=self.pooled,
            augment=resolved_augment(self.augment),
            precision=self.precision,
            deterministic=self.deterministic,
        )

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """Two views, made as those of its students are."""
        update: dict[str, object] = {
            "views": min(self.views, tiny.VIEWS),
            "augment": tiny.shrunk_augment(self.augment),
            "resources": tiny.shrunk_resources(self.resources),
            "data": tiny.shrunk_data(self.data) if self.data else None,
        }
        return self.model_copy(update=update)

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the teacher and the data."""
        address: Address = ("stages", name)
        if (self.resources.gpus or 0) > 1:
            yield (*address, "resources", "gpus"), f"a cache uses one GPU, not {self.resources.gpus}"
        if cache_at(pipeline, self.teacher):
            message = f"stage '{self.teacher}' is a cache itself; name the stage that trains the teacher"
            yield (*address, "teacher"), message
        else:
            yield from teacher_faults(pipeline, name, self.teacher, (*address, "teacher"))
        if self.data is not None:
            yield from data_faults(self.data, (*address, "data"))
        if self.augment.own is not None:
            yield (*address, "augment", "own"), "no cache holds such images: the teacher would have to see them live"


def cache_at(pipeline: Pipeline, name: str) -> CacheStage | None:
    """Return the cache that stands under a name; None for another stage, or for none."""
    stage = pipeline.stages.get(name)
    return stage if isinstance(stage, CacheStage) else None


def behind_a_cache(pipeline: Pipeline, teacher: str) -> str:
    """Return the stage whose outputs a teacher gives: of a cache the stage that it caches."""
    cache = cache_at(pipeline, teacher)
    return cache.teacher if cache else teacher
