"""The job file's shape: frozen, strict models. Structure only.

Names and references are checked in ``kd.jobfile.checks``.
The spec speaks of the work (GPUs, memory, time). Facts of a place (partitions, accounts, modules) belong to a cluster
profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from kd.errors import shown
from kd.jobfile.axis import Axis
from kd.jobfile.quantities import (
    MEMORY_PATTERN,
    MOST_MINUTES,
    TIME_PATTERN,
    format_minutes,
    parse_megabytes,
    parse_minutes,
)


class Strict(BaseModel):
    """Base of every part of a job file: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
# A dot parts a stage from its variant; in a file, stages have names without dots (kd.jobfile.variants).
STAGE_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_.-]+)?$"
StageName = Annotated[str, Field(pattern=STAGE_NAME_PATTERN, max_length=100)]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
TWO_OR_MORE: dict[str, Any] = {
    "minItems": 2,
    "uniqueItems": True,
}  # said better than pydantic would by kd.jobfile.selection
Seeds = Annotated[list[Seed], Field(min_length=1, json_schema_extra={"uniqueItems": True})]


def _listed(value: Any) -> Any:
    """Return one name as a list of it."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ValueError(f"expected the name of a stage, or a list of names, got {shown(value)}")
    return value


Names = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(_listed),
    PlainSerializer(lambda names: names[0] if len(names) == 1 else names),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            ]
        }
    ),
]


def _part_of_the_images(value: Any) -> int | float:
    """Return a number of images, or a fraction of them."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ValueError(f"expected a number of images, or a fraction between 0 and 1, got {shown(value)}")


Part = Annotated[
    int | float,
    BeforeValidator(_part_of_the_images),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ]
        }
    ),
]
Minutes = Annotated[
    int,
    BeforeValidator(parse_minutes),
    PlainSerializer(format_minutes, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_MINUTES},
                {"type": "string", "pattern": f"^{TIME_PATTERN}$"},
            ],
            "examples": ["90m", "24h", "1d12h", "1-12:00:00"],
        }
    ),
]
Megabytes = Annotated[
    int,
    BeforeValidator(parse_megabytes),
    PlainSerializer(lambda megabytes: f"{megabytes}M", return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{MEMORY_PATTERN}$", "examples": ["32G", "500M"]}),
]


class Open(BaseModel):
    """Base of the parts whose further keys are arguments of something in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments beside the part's own keys, as written."""
        return dict(self.__pydantic_extra__ or {})


class Component(Open):
    """Something named in the catalogue with its arguments: ``resnet8`` or ``{name: resnet8, width: 32}``."""

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


Model = Annotated[Component, Field(json_schema_extra={"x-catalogue": "model"})]
Optimizer = Annotated[Component, Field(json_schema_extra={"x-catalogue": "optimizer"})]
Schedule = Annotated[Component, Field(json_schema_extra={"x-catalogue": "schedule"})]
Weighting = Annotated[Component, Field(json_schema_extra={"x-catalogue": "weighting"})]
Temperature = Annotated[Component, Field(json_schema_extra={"x-catalogue": "temperature"})]


class Term(Open):
    """One term of a loss: its weight and the loss function's own arguments. A bare number is the weight."""

    weight: Weight

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) else value


Modalities = Annotated[list[Name], Field(min_length=1)]
Loss = Annotated[dict[str, Term], Field(min_length=1, json_schema_extra={"x-catalogue": "loss"})]


class Data(Open):
    """Which images, where they lie, and how they are split. Further keys are arguments of the data set."""

    name: str
    root: Line | None = Field(default=None, description="Folder or archive; ${VAR} reads the environment")
    validation: Part = Field(description="Images cut from the training part for selection, or a fraction of it")
    train_subset: int | None = Field(default=None, gt=0, description="Use only so many training images")
    test_subset: int | None = Field(default=None, gt=0, description="Use only so many test images")

    def validation_images(self, total: int) -> int:
        """Return how many of ``total`` training images are cut off."""
        return self.validation if isinstance(self.validation, int) else round(self.validation * total)


DataSet = Annotated[Data, Field(json_schema_extra={"x-catalogue": "dataset"})]


Precision = Literal["auto", "float32", "bfloat16", "float16"]


class Resources(Strict):
    """What one job of a stage needs. What is not given is the pipeline's value, or a default."""

    gpus: int | None = Field(default=None, ge=0, le=1024)
    cpus: int | None = Field(default=None, ge=1, le=4096)
    memory: Megabytes | None = None
    time: Minutes | None = None
    gpu_type: Name | None = Field(default=None, description="Pin the GPU type, so that speeds can be compared")


class Augment(Strict):
    """Random changes of the training images, whole batches at a time."""

    crop: int = Field(default=0, ge=0, le=64, description="Pad by so many pixels, then crop at random")
    flip: bool = Field(default=False, description="Mirror left-right with probability 1/2")
    cutout: int = Field(default=0, ge=0, le=1024, description="Blank a square of so many pixels a side; 0: none")


class Ema(Strict):
    """A moving average of the weights, validated and exported in their place."""

    decay: float = Field(default=0.999, gt=0, lt=1, description="What is kept of the average at each step")


class Mixing(Strict):
    """Images of a batch mixed in pairs, and their labels with them."""

    alpha: float = Field(gt=0, le=100, description="Shares are drawn from Beta(alpha, alpha)")


class EarlyStopping(Strict):
    """An end before the last epoch, when validation gets no better."""

    patience: int = Field(gt=0, le=1_000_000, description="Epochs without a better validation accuracy (or loss)")


class Attack(Strict):
    """Images of the test part changed within a bound so that the model errs, to see how much it takes."""

    epsilon: float = Field(gt=0, lt=1, description="Largest change of a pixel, as a fraction of its range")
    steps: int = Field(default=10, gt=0, le=1000, description="Steps of the stronger attack, PGD; FGSM has one")


class Stage(Strict):
    """What every stage may say."""

    about: str | None = None
    resources: Resources = Resources()


HINTON = ("ce", "kd")  # the two terms whose weights are expected to sum to 1


class TrainStage(Stage):
    """Train a model on labels."""

    kind: Literal["train"]
    role: Name | None = Field(default=None, description="teacher, baseline, distilled … : its place in the report")
    seeds: Seeds | None = Field(default=None, description="Instead of the pipeline's seeds")
    model: Model
    epochs: int = Field(gt=0, le=1_000_000)
    batch_size: int = Field(default=128, gt=0, le=1_000_000)
    optimizer: Optimizer
    schedule: Schedule = Component(name="constant")
    loss: Loss = {"ce": Term(weight=1.0)}
    free_weights: bool = Field(default=False, description="Let the weights of ce and kd sum to something other than 1")
    augment: Augment = Augment()
    mixup: Mixing | None = Field(default=None, description="Blend pairs of images (arXiv:1710.09412)")
    cutmix: Mixing | None = Field(default=None, description="Paste a box of one image into another (arXiv:1905.04899)")
    ema: Ema | None = Field(default=None, description="Average the weights over the steps")
    clip: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Largest norm of all gradients")
    accumulate: int | None = Field(
        default=None, gt=1, le=10_000, description="Compute a batch in this many parts; batch norm sees one at a time"
    )
    early_stopping: EarlyStopping | None = Field(default=None, description="Stop when validation gets no better")
    attack: Attack | None = Field(default=None, description="Measure the accuracy under attack too (FGSM and PGD)")
    start: str | None = Field(default=None, description="The stage whose model is trained on, instead of a fresh one")
    configuration: str | None = Field(default=None, description="The search whose best settings are used")
    prune: float | None = Field(default=None, gt=0, lt=1, description="First remove this share of its channels")
    int8_aware: bool = Field(default=False, description="Train with the rounding of int8, to export static_int8")
    data: DataSet | None = Field(default=None, description="Instead of the pipeline's data")
    modalities: Modalities | None = Field(default=None, description="What the model sees of an image; default: all")
    precision: Precision = "auto"
    deterministic: bool = Field(default=False, description="Bit-identical reruns on a GPU too, at some cost of speed")
    compile: bool = Field(default=False, description="Use torch.compile")
    checkpoint_every: int = Field(default=10, gt=0, description="Epochs between checkpoints on shared storage")

    @property
    def weights_share_one(self) -> bool:
        """Whether the loss is ``ce`` and ``kd`` with weights that are to sum to 1."""
        return set(self.loss) == set(HINTON) and not self.free_weights


class DistillStage(TrainStage):
    """Train a student on labels and on the outputs of one teacher or several, trained or cached by other stages."""

    kind: Literal["distill"]  # type: ignore[assignment]  # the discriminator narrows
    teacher: Names = Field(description="The stage whose model teaches, or a cache of it; or several in a list")
    weighting: Weighting = Field(default=Component(name="uniform"), description="How several teachers are weighed")
    temperature: Temperature | None = Field(default=None, description="Instead of the temperatures of the losses")
    loss: Loss


class CacheStage(Stage):
    """Run a teacher once over fixed views of all training images; its students train on these views."""

    kind: Literal["cache"]
    teacher: str = Field(description="The stage whose model is run")
    views: int = Field(default=8, gt=0, le=10_000, description="Epoch e of a student shows view e modulo this number")
    pooled: bool = Field(default=False, description="Keep the features in front of the classifier too")
    augment: Augment = Augment()
    data: DataSet | None = Field(default=None, description="Instead of the pipeline's data")
    precision: Precision = "auto"
    deterministic: bool = Field(default=False, description="Bit-identical reruns on a GPU too, at some cost of speed")


class ExportStage(Stage):
    """Write a trained model as a file to deploy, read it back, and measure its accuracy, size and speed."""

    kind: Literal["export"]
    role: Name | None = Field(default=None, description="static_int8, portable … : its place in the report")
    of: str = Field(description="The stage whose model is written")
    format: Literal["onnx", "pt2", "static_int8", "dynamic_int8"]
    calibration_batches: int = Field(
        default=100, gt=0, le=100_000, description="For static_int8, of 64 training images each"
    )


class SelectStage(Stage):
    """Choose a teacher: of candidates that each follow from the one before, how far is it worth going?"""

    kind: Literal["select"]
    role: Name | None = Field(default=None, description="Its place in the report")
    of: list[str] = Field(description="The stages whose models may teach, in order", json_schema_extra=TWO_OR_MORE)
    by: list[str] = Field(description="The students they taught, one each, in order", json_schema_extra=TWO_OR_MORE)
    minimum_gain: float = Field(
        default=0.05, ge=0, lt=1, description="The least share of the student's validation error that a step must save"
    )


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

    @model_serializer(mode="wrap")
    def _as_written(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"for" if key == "searched" else key: value for key, value in whole(self).items()}


class ReportStage(Stage):
    """Assemble the report from whatever finished."""

    kind: Literal["report"]
    compare: dict[StageName, Names] = Field(
        default={}, description="Which stages are compared, each with one or several; default: distilled with baseline"
    )


AnyStage = Annotated[
    TrainStage | DistillStage | CacheStage | SelectStage | ExportStage | SearchStage | ReportStage,
    Field(discriminator="kind"),
]
STAGE_KINDS: Mapping[str, type[Stage]] = {
    "train": TrainStage,
    "distill": DistillStage,
    "cache": CacheStage,
    "select": SelectStage,
    "export": ExportStage,
    "search": SearchStage,
    "report": ReportStage,
}


class Job(Strict):
    """A whole job file."""

    pipeline: Name = Field(description="The family's key in report.json")
    about: str = ""
    data: DataSet
    seeds: Seeds
    resources: Resources = Resources()
    stages: dict[StageName, AnyStage] = Field(min_length=1)
