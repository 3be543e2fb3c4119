"""What every stage of a job file must tell, whatever its kind; and the pipeline, which is the whole job file.

A kind is one class in a file of its own, ``kd/jobfile/kinds/<kind>.py``. Adding that file adds the kind: nothing else
lists the kinds. CONTRIBUTING.md has the steps.
"""

from __future__ import annotations

import inspect
import pkgutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeAlias, Union

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema
from typing_extensions import Self

from kd.jobfile import kinds
from kd.jobfile.schema import Component, Data, DataSet, Line, Name, Resources, Seeds, StageName, Strict
from kd.jobfile.source import Address
from kd.jobfile.versions import Layer
from kd.rundir.stage_spec import Needs, Settings

Fault: TypeAlias = tuple[Address, str]  # where in the job file, and what is wrong there


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What holds for every stage of a kind."""

    gives: Literal["model", "views", "settings", "nothing"]  # what other stages may refer to it for
    trains: bool  # a model, epoch by epoch: the ``defaults`` of a job file are meant for such stages
    measures_accuracy: bool  # on the test images: a report may compare it
    layers: tuple[Layer, ...]  # of code that decide its result: their versions enter the fingerprint
    needs: Needs  # where neither the stage nor the pipeline says otherwise
    takes_pipeline_resources: bool  # the pipeline's ``resources`` are meant for such stages
    waits_for_all_ended: bool  # runs last, whatever became of the others
    most_gpus: int | None = None  # that such a stage can use: the pipeline's ``resources`` ask for no more


class Own(NamedTuple):
    """What a stage says of itself; None where it leaves that to the stage it follows, or to the pipeline."""

    role: str | None = None
    seeds: list[int] | None = None
    data: Data | None = None


class Stage(Strict):
    """A node of the job graph: what every kind may say, and what every kind must tell."""

    about: str | None = Field(default=None, description="A line for people")
    resources: Resources = Field(default=Resources(), description="What one job needs; the rest is the pipeline's")
    kind: str  # each kind narrows it to its own name

    traits: ClassVar[Traits]
    # A stage of the kind as a job file has it: for editors, and tried by the tests. It may name the stages
    # ``teacher``, ``assistant`` (taught by it), ``student`` and ``assisted`` (a student of either).
    example: ClassVar[Mapping[str, object]]

    @abstractmethod
    def own(self, pipeline: Pipeline) -> Own:
        """Return the role, the seeds and the data that the stage states for itself."""

    @abstractmethod
    def follows(self) -> str | None:
        """Return the stage whose seeds and data hold where this one states none; None: the pipeline's hold."""

    @abstractmethod
    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """Return reference -> stage for all that the stage waits for and reads: ``teacher``, ``of``, ``by_1`` ..."""

    @abstractmethod
    def settings(self, pipeline: Pipeline) -> Settings:
        """Return what the stage does, with all defaults filled in, for its spec.json."""

    @abstractmethod
    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the stage, which stands in the pipeline under ``name``."""

    @abstractmethod
    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """Return the stage for ``--tiny``: the same references, and work that takes seconds."""

    def key_of(self, reference: str) -> str:
        """Return the key of the job file that a reference comes from: ``teacher`` for ``teacher_2``."""
        return reference.partition("_")[0]

    def candidates(self, name: str) -> Sequence[str]:
        """Return the stages of which one trained the model that this stage, called ``name``, gives."""
        return [name]

    def given_model(self) -> Component | None:
        """Return the model that the stage itself names; None where it names none."""
        return None

    def comparisons(self) -> Mapping[str, Sequence[str]]:
        """Return which stages a report is asked to compare: each with those that it is compared with."""
        return {}

    def headlined(self) -> str | None:
        """Return the stage whose accuracy a report gives as that of the student with distillation."""
        return None

    def expectations(self) -> Mapping[str, str]:
        """Return the targets that a report checks, by stage."""
        return {}


def numbered(reference: str, stages: Sequence[str]) -> dict[str, str]:
    """Return ``of_1``, ``of_2`` ... for the stages of a list."""
    return {f"{reference}_{number}": stage for number, stage in enumerate(stages, start=1)}


@cache
def stage_kinds() -> Mapping[str, type[Stage]]:
    """Return kind -> its class, for every file in ``kd/jobfile/kinds``: ``TrainStage`` of ``train.py``.

    Raises TypeError when a class does not tell all that a kind must.
    """
    return {module.name: _class_of(module.name) for module in pkgutil.iter_modules(kinds.__path__)}


def training_kinds() -> tuple[str, ...]:
    """Return the kinds that train a model."""
    return tuple(kind for kind, model in stage_kinds().items() if model.traits.trains)


def _class_of(kind: str) -> type[Stage]:
    found: type[Stage] = getattr(import_module(f"{kinds.__name__}.{kind}"), f"{kind.title()}Stage")
    if inspect.isabstract(found):  # pydantic makes objects of abstract classes without complaint
        raise TypeError(f"kd/jobfile/kinds/{kind}.py: {found.__name__} lacks {', '.join(found.__abstractmethods__)}")
    for fact in ("traits", "example"):
        if fact not in vars(found):  # inherited from another kind does not count
            raise TypeError(f"kd/jobfile/kinds/{kind}.py: {found.__name__} states no '{fact}' of its own")
    return found


class _OneOfTheKinds:
    """Makes pydantic choose the class of a stage by its ``kind``, among those of ``stage_kinds``."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union = Union[tuple(stage_kinds().values())]  # type: ignore[valid-type]  # noqa: UP007  # known at run time
        return handler.generate_schema(Annotated[union, Field(discriminator="kind")])


AnyStage = Annotated[Stage, _OneOfTheKinds()]


class Pipeline(Strict):
    """A whole job file."""

    pipeline: Name = Field(description="The family's key in report.json")
    about: str = Field(default="", description="A line for people")
    code: list[Line] = Field(default=[], description="Files of your own code (.py), or folders of it, beside this file")
    data: DataSet = Field(description="The images that all stages learn from, unless a stage names its own")
    seeds: Seeds = Field(description="Every stage runs once with each of them")
    resources: Resources = Field(default=Resources(), description="What one job of a training stage needs")
    stages: dict[StageName, AnyStage] = Field(min_length=1, description="The job graph, by name")
