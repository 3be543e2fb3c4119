"""``kind: search``: choose settings of a stage by short trainings, judged on the validation images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer
from typing_extensions import Self

from kd.jobfile import tiny
from kd.jobfile.faults import (
    missing_seed_faults,
    repeated_seed_faults,
    repeated_stage_faults,
    search_reference_faults,
    unknown_stage,
)
from kd.jobfile.kinds.train import TrainStage, training_at
from kd.jobfile.resolve import TRAINING_NEEDS
from kd.jobfile.schema import Names, Seeds
from kd.jobfile.search_space import Axis, axis_settings, is_weight, partner_of, searchable, space_faults
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits, numbered
from kd.rundir.stage_spec import SearchSettings


class SearchStage(Stage):
    """Choose settings of a stage by short trainings, judged on the validation images."""

    kind: Literal["search"]
    searched: str = Field(alias="for", description="The stage whose settings are searched; trials train as it does")
    seeds: Seeds | None = Field(default=None, description="Instead of the seeds of that stage")
    trials: int = Field(gt=0, le=10_000, description="Configurations to try; the first is the stage's own")
    epochs: int = Field(gt=0, le=1_000_000, description="Of the longest trials; most are shorter")
    space: dict[str, Axis] = Field(
        min_length=1, description="Dotted keys of that stage, each with a list of choices or a range"
    )
    memory: Names = Field(default=[], description="Other searches whose trials count as experience")

    traits: ClassVar[Traits] = Traits(
        gives="settings",
        trains=False,
        measures_accuracy=False,  # its trials are judged on the validation images
        layers=("data", "models", "losses", "train", "distill", "search"),
        needs=TRAINING_NEEDS,
        takes_pipeline_resources=True,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, object]] = {
        "kind": "search",
        "for": "student",
        "trials": 8,
        "epochs": 2,
        "space": {"optimizer.lr": {"low": 0.01, "high": 1, "log": True}},
    }

    @model_serializer(mode="wrap")
    def _as_written(self, whole: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {"for" if key == "searched" else key: value for key, value in whole(self).items()}

    def key_of(self, reference: str) -> str:
        """``memory``, or ``for``: the models that the trials use are those of the stage that is searched."""
        return "memory" if reference.startswith("memory") else "for"

    def own(self, pipeline: Pipeline) -> Own:
        """The seeds alone."""
        return Own(seeds=self.seeds)

    def follows(self) -> str | None:
        """The stage that is searched."""
        return self.searched

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """The teachers and the start of the stage that is searched, and ``memory_1``, ``memory_2`` ..."""
        training = training_at(pipeline, self.searched)
        return {**(training.model_references() if training else {}), **numbered("memory", self.memory)}

    def settings(self, pipeline: Pipeline) -> SearchSettings:
        """How much is tried, and all settings of the stage that is searched."""
        training = training_at(pipeline, self.searched)
        assert training is not None, "a fault otherwise"
        return SearchSettings(
            searched=self.searched,
            kind=training.kind,
            training=training.settings(pipeline),
            trials=self.trials,
            epochs=self.epochs,
            space={key: axis_settings(training, key, axis) for key, axis in self.space.items()},
        )

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """Three trials of two epochs."""
        update: dict[str, object] = {
            "trials": min(self.trials, tiny.TRIALS),
            "epochs": min(self.epochs, tiny.EPOCHS),
            "seeds": seeds,
            "resources": tiny.shrunk_resources(self.resources),
        }
        return self.model_copy(update=update)

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the stage that is searched, the bounds, the memory, and the stages that use it."""
        address: Address = ("stages", name)
        yield from repeated_seed_faults(self.seeds or [], (*address, "seeds"))
        training, where = training_at(pipeline, self.searched), (*address, "for")
        if self.searched not in pipeline.stages:
            yield where, unknown_stage(pipeline, name, self.searched)
        elif training is None:
            yield where, f"stage '{self.searched}' trains no model; there is nothing to search"
        else:
            yield from self._searched_faults(pipeline, name, training, where)
            yield from space_faults(self.searched, training, self.space, (*address, "space"))
            yield from self._user_faults(pipeline, name, training)
        gpus = pipeline.resources.gpus if self.resources.gpus is None else self.resources.gpus
        if gpus is not None and gpus > 1:
            message = f"a search trains on one GPU, not {gpus}; set 'resources: {{gpus: 1}}' here"
            yield (*address, "resources"), message
        yield from repeated_stage_faults(self.memory, (*address, "memory"))
        for index, memory in enumerate(self.memory):
            if memory not in self.memory[:index]:
                yield from search_reference_faults(pipeline, name, memory, (*address, "memory", index))

    def _searched_faults(
        self, pipeline: Pipeline, name: str, training: TrainStage, address: Address
    ) -> Iterator[Fault]:
        other = pipeline.stages.get(training.configuration or name)
        if training.configuration not in (None, name) and other and other.traits.gives == "settings":
            message = f"stage '{self.searched}' has its settings from search '{training.configuration}'"
            yield address, f"{message}; there can be only one"
        for parent in training.model_references().values():
            yield from missing_seed_faults(pipeline, name, parent, address)

    def _user_faults(self, pipeline: Pipeline, name: str, training: TrainStage) -> Iterator[Fault]:
        """Yield, at each stage that names this search as its configuration, why the settings found would not fit it."""
        chosen = {key: partner_of(training, key) for key in self.space if key in searchable(training)}
        for user in pipeline.stages:
            stage = training_at(pipeline, user)
            if stage is None or stage.configuration != name:
                continue
            where, known = ("stages", user, "configuration"), searchable(stage)
            for key in dict.fromkeys([*chosen, *filter(None, chosen.values())]):
                if key not in known:
                    yield where, f"search '{name}' chooses '{key}', which stage '{user}' does not have"
            if stage.weights_share_one and any(is_weight(key) and partner is None for key, partner in chosen.items()):
                yield where, "the weights of ce and kd would not sum to 1 (set 'free_weights: true' to mean it)"
