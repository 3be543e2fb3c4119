"""``kind: weights``: a file that somebody trained, as a stage: measured once, and a model like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.jobfile import tiny
from kd.jobfile.faults import component_faults, data_faults, declared_shape, repeated_seed_faults
from kd.jobfile.resolve import MEASURING_NEEDS, resolved_component, resolved_draw
from kd.jobfile.schema import Component, DataSet, Draw, File, Model, Name, Precision, Seeds
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits
from kd.rundir.stage_spec import WeightsSettings

Statistic = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=1)]


class WeightsStage(Stage):
    """Take a trained file as a model: load it, measure it on the validation and test images, and train nothing."""

    kind: Literal["weights"]
    role: Name | None = Field(default=None, description="teacher, baseline … : its place in the report")
    seeds: Seeds | None = Field(default=None, description="One is enough for a file; default: the pipeline's first")
    model: Model = Field(description="The network that the weights are of")
    file: File = Field(description="The trained weights; ${VAR} reads the environment")
    classifier: Literal["kept", "new"] = Field(
        default="kept", description="new: draw one where the file's does not fit"
    )
    mean: Statistic | None = Field(default=None, description="Of pixels / 255 per channel, as in its training")
    std: Statistic | None = Field(default=None, description="The deviation beside 'mean'")
    data: DataSet | None = Field(default=None, description="Instead of the pipeline's data")
    draw: Draw | None = Field(default=None, description="What the report draws of the model: embeddings, feature maps")
    precision: Precision = Field(
        default="auto", description="What the network multiplies in; auto: bfloat16 where it is fast"
    )

    traits: ClassVar[Traits] = Traits(
        gives="model",
        trains=False,
        measures_accuracy=True,
        layers=("data", "models"),
        needs=MEASURING_NEEDS,
        takes_pipeline_resources=False,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, object]] = {"kind": "weights", "model": "resnet20", "file": "/models/resnet20.pth"}

    def own(self, pipeline: Pipeline) -> Own:
        """One seed: it decides nothing but a classifier that is drawn."""
        return Own(role=self.role, seeds=self.seeds or pipeline.seeds[:1], data=self.data)

    def follows(self) -> str | None:
        """No other stage."""
        return None

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """None."""
        return {}

    def given_model(self) -> Component:
        """The model that the weights are of."""
        return self.model

    def settings(self, pipeline: Pipeline) -> WeightsSettings:
        """The model, the file, and how pixels are normalised where the stage says so."""
        return WeightsSettings(
            model=resolved_component("model", self.model),
            file=self.file,
            classifier=self.classifier,
            mean=self.mean,
            std=self.std,
            draw=resolved_draw(self.draw),
            precision=self.precision,
        )

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """The same model with fresh weights: the file may not be there, and its classes are not those shown."""
        update: dict[str, object] = {
            "seeds": seeds,
            "model": tiny.shrunk_model(self.model),
            "file": None,
            "resources": tiny.shrunk_resources(self.resources),
            "data": tiny.shrunk_data(self.data) if self.data else None,
        }
        return self.model_copy(update=update)

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the model, the data and the normalisation."""
        address: Address = ("stages", name)
        yield from repeated_seed_faults(self.seeds or [], (*address, "seeds"))
        yield from component_faults("model", self.model, address)
        if "pretrained" in self.model.arguments:
            yield (*address, "model", "pretrained"), "'file' names the weights here; remove 'pretrained'"
        if self.data is not None:
            yield from data_faults(self.data, (*address, "data"))
        yield from self._normalisation_faults(pipeline, address)

    def _normalisation_faults(self, pipeline: Pipeline, address: Address) -> Iterator[Fault]:
        if (self.mean is None) != (self.std is None):
            given, missing = ("mean", "std") if self.std is None else ("std", "mean")
            yield (*address, given), f"'{given}' needs '{missing}' beside it"
            return
        if self.mean is None or self.std is None:
            return
        if "normalisation" in self.model.arguments:
            yield (*address, "mean"), "the model has a 'normalisation' already; remove one"
        shape = declared_shape(self.data or pipeline.data)
        for key, values in (("mean", self.mean), ("std", self.std)):
            if shape and len(values) != shape.channels:
                yield (*address, key), f"one value per channel is needed: the images have {shape.channels}"
        if min(self.std) <= 0:
            yield (*address, "std"), "every deviation must be above 0"
