"""The parts that a job file is written of: frozen, strict models of names, amounts, components and data.

A part checks its shape alone. Names and references are checked in ``kd.jobfile.faults`` and by the stage kinds.
A job file states the work (GPUs, memory, time). Facts of a cluster (partitions, accounts, modules) belong to its
profile.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from kd.errors import shown
from kd.jobfile.quantities import (
    MEMORY_PATTERN,
    MOST_MINUTES,
    TIME_PATTERN,
    format_minutes,
    parse_megabytes,
    parse_minutes,
)
from kd.library_networks import LIBRARIES, SEPARATOR
from kd.rundir.stage_spec import Program


class Strict(BaseModel):
    """Base of every part of a job file: immutable, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64)]
# A dot parts a stage from its variant (kd.jobfile.variants); a job file that was written out has such names.
STAGE_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_.-]+)?$"
StageName = Annotated[str, Field(pattern=STAGE_NAME_PATTERN, max_length=100)]
Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]
File = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]  # a path, made absolute when the job file is loaded
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[list[Seed], Field(min_length=1, json_schema_extra={"uniqueItems": True})]


def _as_list(value: Any) -> Any:
    """Return one name as a list of it."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise ValueError(f"expected the name of a stage, or a list of names, got {shown(value)}")
    return value


Names = Annotated[
    list[str],
    Field(min_length=1),
    BeforeValidator(_as_list),
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


Programs = Annotated[
    list[Program],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "enum": list(get_args(Program))},
                {"type": "array", "items": {"type": "string", "enum": list(get_args(Program))}, "uniqueItems": True},
            ]
        }
    ),
]


def _number_or_fraction(value: Any) -> int | float:
    """Return a number of images, or a fraction of them."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ValueError(f"expected a number of images, or a fraction between 0 and 1, got {shown(value)}")


Part = Annotated[
    int | float,
    BeforeValidator(_number_or_fraction),
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
    """Something named in the catalogue with its arguments: ``resnet8`` or ``{name: resnet8, width: 32}``.

    ``{name: timm, network: resnet18}`` is another way to write ``timm/resnet18``.
    """

    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("network"), str):
            library = next((library for library in LIBRARIES if value.get("name") == library), None)
            rest = {key: each for key, each in value.items() if key != "network"}
            return {**rest, "name": f"{library}{SEPARATOR}{value['network']}"} if library else value
        return {"name": value} if isinstance(value, str) else value


Model = Annotated[Component, Field(json_schema_extra={"x-catalogue": "model"})]
Optimizer = Annotated[Component, Field(json_schema_extra={"x-catalogue": "optimizer"})]
ALIASES = {"schedule": {"none": "constant"}}  # other words for names of the catalogue


def _schedule_by_alias(value: Any) -> Any:
    """Return a schedule under the name that the catalogue has for it."""
    names = ALIASES["schedule"]
    if isinstance(value, dict) and isinstance(name := value.get("name"), str):
        return {**value, "name": names.get(name, name)}
    return names.get(value, value) if isinstance(value, str) else value


Schedule = Annotated[
    Component, Field(json_schema_extra={"x-catalogue": "schedule"}), BeforeValidator(_schedule_by_alias)
]
Weighting = Annotated[Component, Field(json_schema_extra={"x-catalogue": "weighting"})]
Augmentation = Annotated[Component, Field(json_schema_extra={"x-catalogue": "augmentation"})]
Temperature = Annotated[Component, Field(json_schema_extra={"x-catalogue": "temperature"})]


class TermOptions(Open):
    """One term of a loss: its weight and the loss function's own arguments. A bare number is the weight.

    It is called like its loss, or has a name of its own and says which ``loss`` it is.
    """

    weight: Weight
    loss: str | None = Field(default=None, description="The loss of a term with a name of its own")
    teacher: StageName | None = Field(default=None, description="The one of several teachers that this term asks")

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, value: Any) -> Any:
        return {"weight": value} if isinstance(value, int | float) else value


Modalities = Annotated[list[Name], Field(min_length=1)]
Loss = Annotated[dict[str, TermOptions], Field(min_length=1, json_schema_extra={"x-catalogue": "loss"})]


class Data(Open):
    """Which images, where they lie, and how they are split. Further keys are arguments of the data set."""

    name: str = Field(description="A data set of docs/data.md")
    root: Line | None = Field(default=None, description="Folder or archive; ${VAR} reads the environment")
    validation: Part = Field(description="Images cut from the training part for selection, or a fraction of it")
    train_subset: int | None = Field(default=None, gt=0, description="Use only so many training images")
    test_subset: int | None = Field(default=None, gt=0, description="Use only so many test images")

    def validation_images(self, total: int) -> int:
        """Return how many of ``total`` training images are cut off."""
        return self.validation if isinstance(self.validation, int) else round(self.validation * total)


DataSet = Annotated[Data, Field(json_schema_extra={"x-catalogue": "dataset"})]


Precision = Literal["auto", "float32", "bfloat16", "float16"]


def _true_false_or(word: str) -> BeforeValidator:
    """Return the check of a switch that has a third position: without it, 1 would pass for true."""

    def check(value: object) -> object:
        if value != word and not isinstance(value, bool):
            raise ValueError(f"expected true, false or {word}, got {shown(value)}")
        return value

    return BeforeValidator(check)


Compile = Annotated[Literal[False, True, "graph"], _true_false_or("graph")]
Flip = Annotated[Literal[False, True, "alternating"], _true_false_or("alternating")]


class Resources(Strict):
    """What one job of a stage needs. What is not given is the pipeline's value, or a default."""

    gpus: int | None = Field(default=None, ge=0, le=1024, description="GPUs of one node")
    cpus: int | None = Field(default=None, ge=1, le=4096, description="Processors of the whole job")
    memory: Megabytes | None = Field(default=None, description="Of the whole job")
    time: Minutes | None = Field(default=None, description="Limit of one attempt")
    gpu_type: Name | None = Field(default=None, description="Pin the GPU type, so that speeds can be compared")


class Augment(Strict):
    """Random changes of the training images, whole batches at a time."""

    crop: int = Field(default=0, ge=0, le=64, description="Pad by so many pixels, then crop at random")
    flip: Flip = Field(default=False, description="Mirror half of the images; alternating: each in every second epoch")
    edges: Literal["black", "reflect"] = Field(default="black", description="What 'crop' pads with")
    cutout: int = Field(default=0, ge=0, le=1024, description="Blank a square of so many pixels a side; 0: none")
    resized_crop: float = Field(
        default=0.0, ge=0, le=1, description="RandomResizedCrop: the least share of an image that a crop keeps; 0: off"
    )
    color_jitter: float = Field(
        default=0.0, ge=0, le=1, description="Change brightness, contrast and saturation by up to this share"
    )
    trivial_augment: bool = Field(default=False, description="One operation of any strength (arXiv:2103.10158)")
    rand_augment: int = Field(
        default=0, ge=0, le=30, description="The strength of two operations (arXiv:1909.13719); 0: off"
    )
    erase: float = Field(default=0.0, ge=0, le=1, description="How often a random box is blanked (arXiv:1708.04896)")
    own: Augmentation | None = Field(default=None, description="Then a function or class of your own")


class Ema(Strict):
    """A moving average of the weights, validated and exported in their place."""

    decay: float = Field(default=0.999, gt=0, lt=1, description="What is kept of the average at each step")


class MixingOptions(Strict):
    """Images of a batch mixed in pairs, and their labels with them."""

    alpha: float = Field(gt=0, le=100, description="Shares are drawn from Beta(alpha, alpha)")


class EarlyStopping(Strict):
    """An end before the last epoch, when validation gets no better."""

    patience: int = Field(gt=0, le=1_000_000, description="Epochs without a better validation accuracy (or loss)")


class Draw(Strict):
    """What a report draws of a model and the first validation images; it changes no result."""

    embeddings: int = Field(default=0, ge=4, le=5000, description="So many images in a plane, by 'method'")
    method: Literal["tsne", "umap"] = Field(default="tsne", description="umap needs umap-learn")
    feature_maps: list[str] = Field(default=[], description="Layers whose maps and attention are shown: [stage3]")


class Attack(Strict):
    """Images of the test part changed within a bound so that the model errs, to see how much it takes."""

    epsilon: float = Field(gt=0, lt=1, description="Largest change of a pixel, as a fraction of its range")
    steps: int = Field(default=10, gt=0, le=1000, description="Steps of the stronger attack, PGD; FGSM has one")
