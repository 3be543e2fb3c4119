"""``kind: select``: choose a teacher among candidates that each follow from the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.jobfile import tiny
from kd.jobfile.faults import model_faults, repeated_stage_faults
from kd.jobfile.graph import data_of
from kd.jobfile.kinds.cache import behind_a_cache
from kd.jobfile.kinds.train import training_at
from kd.jobfile.resolve import MEASURING_NEEDS
from kd.jobfile.schema import Name
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits, numbered
from kd.rundir.stage_spec import SelectSettings

# for editors; the loader's own message says which candidates are missing
TWO_OR_MORE: dict[str, Any] = {"minItems": 2, "uniqueItems": True}


class SelectStage(Stage):
    """Choose a teacher: of candidates that each follow from the one before, how far is it worth going?"""

    kind: Literal["select"]
    role: Name | None = Field(default=None, description="Its place in the report")
    of: list[str] = Field(description="The stages whose models may teach, in order", json_schema_extra=TWO_OR_MORE)
    by: list[str] = Field(description="The students they taught, one each, in order", json_schema_extra=TWO_OR_MORE)
    minimum_gain: float = Field(
        default=0.05, ge=0, lt=1, description="The least share of the student's validation error that a step must save"
    )

    traits: ClassVar[Traits] = Traits(
        gives="model",
        trains=False,
        measures_accuracy=True,
        layers=("data", "models", "distill"),
        needs=MEASURING_NEEDS,
        takes_pipeline_resources=False,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, Any]] = {
        "kind": "select",
        "of": ["teacher", "assistant"],
        "by": ["student", "assisted"],
    }

    def candidates(self, name: str) -> Sequence[str]:
        """Return the stages of which one trained the model that this stage gives."""
        return self.of

    def own(self, pipeline: Pipeline) -> Own:
        """The role alone."""
        return Own(role=self.role)

    def follows(self) -> str | None:
        """Its first student: all candidates are judged on the data of that one."""
        return self.by[0] if self.by else None

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """``of_1``, ``of_2`` ... and ``by_1``, ``by_2`` ..."""
        return {**numbered("of", self.of), **numbered("by", self.by)}

    def settings(self, pipeline: Pipeline) -> SelectSettings:
        """What a further candidate must gain."""
        return SelectSettings(minimum_gain=self.minimum_gain)

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """The same choice, with less time."""
        return self.model_copy(update={"resources": tiny.shrunk_resources(self.resources)})

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the candidates and with the students that they taught."""
        address: Address = ("stages", name)
        for key, named in (("of", self.of), ("by", self.by)):
            yield from repeated_stage_faults(named, (*address, key))
            for index, each in enumerate(named):
                where = (*address, key, index)
                if isinstance(pipeline.stages.get(each), SelectStage):
                    yield where, f"stage '{each}' is a choice itself; name the stages it chooses from"
                else:
                    yield from model_faults(pipeline, name, each, where)
        if len(self.of) < 2:
            yield (*address, "of"), "there is nothing to choose from; name two candidates at least"
        if len(self.of) != len(self.by):
            message = f"{len(self.of)} candidates need as many students, one each; here are {len(self.by)}"
            yield (*address, "by"), message
            return
        for index, (candidate, student) in enumerate(zip(self.of, self.by, strict=True)):
            yield from _student_faults(pipeline, self.by[0], candidate, student, (*address, "by", index))


def _student_faults(pipeline: Pipeline, first: str, candidate: str, student: str, address: Address) -> Iterator[Fault]:
    """Yield why a student tells nothing of a candidate, or nothing that compares with the first student."""
    judge, yardstick, taught = (training_at(pipeline, name) for name in (student, first, candidate))
    if judge is None or yardstick is None or taught is None:
        return  # a fault of its own
    if candidate not in (behind_a_cache(pipeline, teacher) for teacher in judge.teachers()):
        yield address, f"stage '{student}' was not taught by '{candidate}'"
    elif judge.model != yardstick.model:
        yield address, f"stage '{student}' trains another model than '{first}'; give both the same"
    elif (data_of(pipeline, student), judge.modalities) != (data_of(pipeline, first), yardstick.modalities):
        yield address, f"stage '{student}' learns other data than '{first}'; give both the same"
