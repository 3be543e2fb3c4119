"""``kind: distill``: train a student on labels and on what one teacher or several make of the same images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import msgspec
from pydantic import Field

from kd import catalog
from kd.jobfile.declared_taps import DECLARATION, PREACTIVATIONS, declares_taps
from kd.jobfile.faults import component_faults, declared_shape, repeated_stage_faults, teacher_faults
from kd.jobfile.kinds.cache import behind_a_cache, cache_at
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.loss_faults import takes_from_teacher
from kd.jobfile.resolve import TRAINING_NEEDS, resolved_component
from kd.jobfile.schema import Augment, Component, Data, Loss, Names, Temperature, Weighting
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Pipeline, Traits, numbered
from kd.losses.inputs import FEATURES, STUDENT, TEACHER, TEACHER_LOGITS, needs_features, needs_preactivations
from kd.losses.label_kinds import weighting_misfit
from kd.rundir.stage_spec import TrainSettings


class DistillStage(TrainStage):
    """Train a student on labels and on the outputs of one teacher or several, trained or cached by other stages."""

    kind: Literal["distill"]  # type: ignore[assignment]  # the discriminator narrows
    teacher: Names = Field(description="The stage whose model teaches, or a cache of it; or several in a list")
    weighting: Weighting = Field(default=Component(name="uniform"), description="How several teachers are weighed")
    temperature: Temperature | None = Field(default=None, description="Instead of the temperatures of the losses")
    loss: Loss = Field(description="Terms by name with their weights; one of them asks for the teacher")

    traits: ClassVar[Traits] = Traits(
        gives="model",
        trains=True,
        measures_accuracy=True,
        layers=("data", "models", "losses", "train", "distill"),
        needs=TRAINING_NEEDS,
        takes_pipeline_resources=True,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, object]] = {
        "kind": "distill",
        "teacher": ["teacher", "assistant"],
        "model": "convnet",
        "epochs": 2,
        "optimizer": {"name": "sgd", "lr": 0.1},
        "loss": {"ce": 0.5, "kd": {"weight": 0.5, "temperature": 4}},
    }

    def teachers(self) -> Sequence[str]:
        """Return the stages that teach this one, whether they are there or not."""
        return self.teacher

    def searched_components(self) -> dict[str, Component]:
        """Return catalogue kind -> the component whose arguments a search may set."""
        found = super().searched_components()
        if len(self.teacher) > 1:
            found["weighting"] = self.weighting
        return found if self.temperature is None else {**found, "temperature": self.temperature}

    def model_references(self) -> dict[str, str]:
        """Return the references to the stages whose models the training uses: the teachers too."""
        one = len(self.teacher) == 1
        teachers = {"teacher": self.teacher[0]} if one else numbered("teacher", self.teacher)
        return {**teachers, **super().model_references()}

    def settings(self, pipeline: Pipeline) -> TrainSettings:
        """The weighting and the schedule of the temperature are there only where they matter."""
        several = len(self.teacher) > 1
        return msgspec.structs.replace(
            super().settings(pipeline),
            weighting=resolved_component("weighting", self.weighting) if several else None,
            temperature=resolved_component("temperature", self.temperature) if self.temperature else None,
        )

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the training, with the teachers, and with what the loss takes from them."""
        address: Address = ("stages", name)
        yield from super().faults(pipeline, name)
        weights = [(loss, term.weight) for _, loss, term in self.terms()]
        if any(weight for _, weight in weights) and not any(_teaches(loss, weight) for loss, weight in weights):
            message = "no term with a weight above 0 uses the teacher; add 'kd', or use 'kind: train'"
            yield (*address, "loss"), message
        for index, teacher in enumerate(self.teacher):
            if teacher not in self.teacher[:index]:
                yield from teacher_faults(pipeline, name, teacher, (*address, "teacher", index))
        yield from repeated_stage_faults(self.teacher, (*address, "teacher"))
        yield from self._feature_faults(pipeline, (*address, "loss"))
        yield from self._weighting_faults(pipeline, address)
        yield from self._temperature_faults(address)
        yield from self._cache_faults(pipeline, address)

    def _feature_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        """Yield the losses that compare features where the student or its teacher gives none."""
        for name, loss, term in self.terms():
            entry = catalog.find("loss", loss)
            several = len(self.teacher) > 1 and term.teacher is None
            if entry is not None and entry.identity and several and takes_from_teacher(loss):
                message = (
                    f"loss '{loss}' is your own, and learns from one teacher; name one ('teacher: {self.teacher[0]}')"
                )
                yield (*address, name), message
            if entry is not None and needs_features(entry.inputs):
                asked = self.teacher if term.teacher is None else [term.teacher]
                for message in self._no_features(pipeline, entry.inputs, asked):
                    yield (*address, name), f"loss '{loss}' compares {message}"

    def _no_features(self, pipeline: Pipeline, inputs: tuple[str, ...], asked: Sequence[str]) -> Iterator[str]:
        if len(asked) > 1:
            yield f"features, which only one teacher at a time can give; name one, as in 'teacher: {asked[0]}'"
            return
        (teacher,) = asked
        if cache := cache_at(pipeline, teacher):
            wanted = {name for name in FEATURES.intersection(inputs) if name.startswith("teacher")}
            if not wanted <= {"teacher_pooled_BD"}:
                yield "feature maps, which no cache holds; name the cache's teacher itself"
            elif wanted and not cache.pooled:
                yield f"pooled features; set 'pooled: true' in stage '{teacher}'"
        behind = pipeline.stages.get(behind_a_cache(pipeline, teacher))
        taught = [pipeline.stages.get(name) for name in behind.candidates(teacher)] if behind else []
        for stage, part in [(self, STUDENT), *((stage, TEACHER) for stage in (behind, *taught))]:
            model = stage.given_model() if stage else None
            declaration = PREACTIVATIONS if needs_preactivations(set(inputs).intersection(part)) else DECLARATION
            if model and not declares_taps(model, declaration):
                yield f"features, and model '{model.name}' declares no {declaration}"
                return

    def _weighting_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        yield from component_faults("weighting", self.weighting, address)
        where, name = (*address, "weighting"), self.weighting.name
        several = len(self.teacher) > 1
        shape = declared_shape(self.data or pipeline.data) if several and catalog.find("weighting", name) else None
        if shape and (misfit := weighting_misfit(name, multi_label=shape.multi_label)):
            yield where, misfit
        if name == "label" and self.mixing:
            yield where, f"weighting 'label' needs one true class per image, which {self.mixing} takes away"
        shares = self.weighting.arguments.get("shares")
        if name != "fixed" or not isinstance(shares, list) or not several:
            return
        if len(shares) != len(self.teacher):
            yield (*where, "shares"), f"there are {len(self.teacher)} teachers, and {len(shares)} shares"
        elif all(type(share) in (int, float) for share in shares) and sum(shares) == 0:
            yield (*where, "shares"), "the shares sum to 0: nobody would teach"

    def _temperature_faults(self, address: Address) -> Iterator[Fault]:
        if self.temperature is None:
            return
        yield from component_faults("temperature", self.temperature, address)
        softened = [(name, loss) for name, loss, _ in self.terms() if _softens(loss)]
        if not softened:
            yield (*address, "temperature"), "no term of the loss softens the teacher's logits; add 'kd', say"
        for name, loss in softened:
            if "temperature" in self.loss[name].arguments:
                where = (*address, "loss", name, "temperature")
                yield where, f"loss '{loss}' has a temperature of its own beside the stage's; remove one"

    def _cache_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        """Yield why the student would not see the views that its teachers' caches hold."""
        caches = {name: cache for name in self.teacher if (cache := cache_at(pipeline, name))}
        for name, cache in caches.items():
            where = (*address, "teacher", self.teacher.index(name))
            if self.mixing:
                message = f"the cache '{name}' holds nothing for mixed images; name its teacher itself"
                yield (*address, self.mixing), message
            if self.augment.own is not None:
                message = f"the cache '{name}' holds nothing for such images; name its teacher itself"
                yield (*address, "augment", "own"), message
            elif cache.augment != self.augment:
                views = f"holds views of {_as_written(cache.augment)}, but the student's are of"
                message = f"the cache '{name}' {views} {_as_written(self.augment)}; give both the same 'augment'"
                yield where, message
            if _training_images(cache.data or pipeline.data) != _training_images(self.data or pipeline.data):
                yield where, f"the cache '{name}' is of other data than the student's; give both the same 'data'"
        counts = sorted({cache.views for cache in caches.values()})
        if len(counts) > 1:
            message = f"the caches hold {' and '.join(map(str, counts))} views; give them equally many"
            yield (*address, "teacher"), message


def _teaches(loss: str, weight: float) -> bool:
    """Whether a term uses the teacher, as far as the catalogue knows: an unknown loss is a fault of its own."""
    return weight > 0 and (takes_from_teacher(loss) or catalog.find("loss", loss) is None)


def _softens(loss: str) -> bool:
    entry = catalog.find("loss", loss)
    if entry is None or entry.identity:  # of the user's own: its temperature is an argument like any other
        return False
    return not TEACHER_LOGITS.isdisjoint(entry.inputs) and "temperature" in entry.arguments


def _training_images(data: Data) -> dict[str, object]:
    """Return what decides the images to learn from."""
    return {key: value for key, value in data.model_dump().items() if key != "test_subset"}


def _as_written(augment: Augment) -> str:
    """Return an augmentation as a job file has it."""
    given = augment.model_dump(exclude_defaults=True)
    return "{" + ", ".join(f"{key}: {str(value).lower()}" for key, value in given.items()) + "}"
