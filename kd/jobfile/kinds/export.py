"""``kind: export``: write a trained model as a file to deploy, read it back, and measure its accuracy, size, speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from kd.jobfile import tiny
from kd.jobfile.faults import model_faults
from kd.jobfile.resolve import MEASURING_NEEDS
from kd.jobfile.schema import Name
from kd.jobfile.stage import Fault, Own, Pipeline, Stage, Traits
from kd.rundir.stage_spec import ExportSettings


class ExportStage(Stage):
    """Write a trained model as a file to deploy, read it back, and measure its accuracy, size and speed."""

    kind: Literal["export"]
    role: Name | None = Field(default=None, description="static_int8, portable … : its place in the report")
    of: str = Field(description="The stage whose model is written")
    format: Literal["onnx", "pt2", "static_int8", "dynamic_int8"] = Field(description="docs/compression.md says when")
    calibration_batches: int = Field(
        default=100, gt=0, le=100_000, description="For static_int8, of 64 training images each"
    )
    float32: list[str] = Field(
        default=[], description="Of static_int8: modules that stay in float32, by their paths: [conv1, fc]"
    )

    traits: ClassVar[Traits] = Traits(
        gives="nothing",  # no stage reads an exported file
        trains=False,
        measures_accuracy=True,
        layers=("data", "models", "compress"),
        needs=MEASURING_NEEDS,
        takes_pipeline_resources=False,
        waits_for_all_ended=False,
    )
    example: ClassVar[Mapping[str, object]] = {"kind": "export", "of": "student", "format": "onnx"}

    def own(self, pipeline: Pipeline) -> Own:
        """The role alone."""
        return Own(role=self.role)

    def follows(self) -> str | None:
        """The stage whose model is written."""
        return self.of

    def references(self, pipeline: Pipeline) -> dict[str, str]:
        """``of``."""
        return {"of": self.of}

    def settings(self, pipeline: Pipeline) -> ExportSettings:
        """The format, and how it is calibrated where it is."""
        calibrated = self.format == "static_int8"
        batches = self.calibration_batches if calibrated else None
        return ExportSettings(format=self.format, calibration_batches=batches, float32=tuple(self.float32))

    def shrunk(self, pipeline: Pipeline, seeds: list[int]) -> Self:
        """One batch to calibrate with."""
        resources = tiny.shrunk_resources(self.resources)
        return self.model_copy(update={"calibration_batches": 1, "resources": resources})

    def faults(self, pipeline: Pipeline, name: str) -> Iterator[Fault]:
        """Yield what is wrong with the stage whose model is written, and float32 layers of what is no int8 file."""
        yield from model_faults(pipeline, name, self.of, ("stages", name, "of"))
        if self.float32 and self.format != "static_int8":
            yield ("stages", name, "float32"), f"'float32' is for static_int8 files; this one is {self.format}"
