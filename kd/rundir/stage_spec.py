"""spec.json as a value: everything one job does, resolved, with defaults filled in.

It is written when a run is planned and read by the job.

Reading it needs neither pydantic nor the job file: a stage folder with a spec.json runs on any machine with torch.
Options that are off are absent from the file, so that a new option changes no fingerprint of stages without it.
"""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status.
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, field

from kd.errors import RunError, did_you_mean
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import JobKey, StageFolder
from kd.rundir.names import PlainName, SeedNumber

FORMAT = 1
# Settings that change how a stage runs and is shown but not what comes out of it, and what a search is for.
NOT_IN_FINGERPRINT = ("checkpoint_every", "compile", "for", "track", "draw")

Arguments: TypeAlias = dict[str, object]  # of a function of the catalogue, by name
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

Compile: TypeAlias = bool | Literal["graph"]
Sampling: TypeAlias = Literal["balanced", "square_root"]
Program: TypeAlias = Literal["tensorboard", "wandb", "mlflow"]


class Component(Struct, frozen=True, kw_only=True):
    """Something of the catalogue, with all its arguments: a model, an optimizer, a schedule."""

    name: str
    arguments: Arguments


class TermSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One term of a loss: its weight, and the arguments of the loss function.

    ``loss`` is the loss's name where the term has another one; ``teacher`` the number, from 0, of the only teacher that
    the term asks.
    """

    weight: float
    arguments: Arguments
    loss: str | None = None
    teacher: int | None = None

    def loss_name(self, name: str) -> str:
        """Return the name of the loss, given that of the term."""
        return self.loss or name


class Augment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Random changes of the training images; lengths are pixels. ``own`` is code of the user's."""

    crop: int
    flip: bool | Literal["alternating"]
    edges: Literal["black", "reflect"] = "black"
    cutout: int = 0
    resized_crop: float = 0.0
    color_jitter: float = 0.0
    trivial_augment: bool = False
    rand_augment: int = 0
    erase: float = 0.0
    own: Component | None = None


class MixingSettings(Struct, frozen=True, kw_only=True):
    """Mixup or cutmix: shares of two images are drawn from Beta(alpha, alpha)."""

    alpha: float


class Ema(Struct, frozen=True, kw_only=True):
    """A moving average of the weights: what is kept of it at each step."""

    decay: float


class EarlyStopping(Struct, frozen=True, kw_only=True):
    """The end of a training after so many epochs without a better validation metric."""

    patience: int


class Attack(Struct, frozen=True, kw_only=True):
    """The bound within which test images are changed: a fraction of the pixels' range, and PGD's steps."""

    epsilon: float
    steps: int


class Draw(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a report draws of a model: so many validation images in a plane, the maps of layers for a few of them."""

    embeddings: int = 0
    method: Literal["tsne", "umap"] = "tsne"
    feature_maps: tuple[str, ...] = ()


class TrainSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of kind ``train`` or ``distill`` does."""

    model: Component
    epochs: int
    batch_size: int
    optimizer: Component
    schedule: Component
    loss: dict[str, TermSettings]
    augment: Augment
    sampling: Sampling | None = None
    mixup: MixingSettings | None = None
    cutmix: MixingSettings | None = None
    ema: Ema | None = None
    clip: float | None = None
    accumulate: int | None = None
    early_stopping: EarlyStopping | None = None
    attack: Attack | None = None
    prune: float | None = None
    modalities: tuple[str, ...] | None = None
    int8_aware: bool = False
    no_decay: bool = False
    norm_bias_lr: float | None = None  # factor on the learning rate
    weighting: Component | None = None  # of several teachers
    temperature: Component | None = None  # instead of the losses' own
    track: tuple[Program, ...] = ()
    draw: Draw | None = None
    schedule_epochs: int | None = None  # of a search's trial: it goes through the whole schedule in fewer epochs
    precision: Precision
    deterministic: bool
    compile: Compile
    checkpoint_every: int


class WeightsSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of kind ``weights`` does. ``mean`` and ``std`` are of pixels / 255; no file means fresh weights."""

    model: Component
    file: str | None = None
    classifier: Literal["kept", "new"]
    mean: list[float] | None = None
    std: list[float] | None = None
    draw: Draw | None = None
    precision: Precision


class CacheSettings(Struct, frozen=True, kw_only=True):
    """What a stage of kind ``cache`` does."""

    views: int
    pooled: bool
    augment: Augment
    precision: Precision
    deterministic: bool


class SelectSettings(Struct, frozen=True, kw_only=True):
    """What a stage of kind ``select`` does."""

    minimum_gain: float


class ExportSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of kind ``export`` does."""

    format: str
    calibration_batches: int | None = None
    preprocess: bool = False
    float32: tuple[str, ...] = ()


class AxisSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One searched setting: ``choices``, or the range from ``low`` to ``high``.

    ``partner`` is the weight that takes the rest of 1.
    """

    choices: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    log: bool | None = None
    whole: bool | None = None
    partner: str | None = None


class SearchSettings(Struct, frozen=True, kw_only=True, rename={"searched": "for"}):
    """What a stage of kind ``search`` does; ``training`` are the settings of the stage it searches for."""

    searched: str
    kind: str
    training: TrainSettings
    trials: int
    epochs: int
    space: dict[str, AxisSettings]


class ReportSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a stage of kind ``report`` does."""

    compare: dict[str, list[str]] = field(default_factory=dict)
    headline: str | None = None
    expect: dict[str, str] = field(default_factory=dict)


Settings: TypeAlias = (
    TrainSettings | WeightsSettings | CacheSettings | SelectSettings | ExportSettings | SearchSettings | ReportSettings
)
SettingsOf = TypeVar("SettingsOf", bound=Settings)

# stage kind -> the type of its settings
SETTINGS: Mapping[str, type[Settings]] = {
    "train": TrainSettings,
    "distill": TrainSettings,
    "weights": WeightsSettings,
    "cache": CacheSettings,
    "select": SelectSettings,
    "export": ExportSettings,
    "search": SearchSettings,
    "report": ReportSettings,
}


class JobReference(Struct, frozen=True, kw_only=True):
    """A job of the same run that another one names."""

    stage: PlainName
    seed: SeedNumber | None

    @property
    def key(self) -> JobKey:
        """Return the name of the job."""
        return JobKey(self.stage, self.seed)


class Parent(Struct, frozen=True, kw_only=True):
    """A job that another one needs: which stage and seed, and the fingerprint it must have."""

    stage: PlainName
    seed: SeedNumber | None
    fingerprint: str

    @property
    def key(self) -> JobKey:
        """Return the name of the job."""
        return JobKey(self.stage, self.seed)


class DataSpec(Struct, frozen=True, kw_only=True):
    """Which images a stage uses; ``validation`` is a number of training images or a fraction of them."""

    name: str
    root: str | None
    arguments: Arguments
    validation: int | float
    train_subset: int | None
    test_subset: int | None


class Needs(Struct, frozen=True, kw_only=True):
    """What one job asks of a machine. Memory is in MiB."""

    gpus: int
    cpus: int
    memory_mb: int
    minutes: int
    gpu_type: str | None = None


class StageSpec(Struct, Generic[SettingsOf], frozen=True, kw_only=True):
    """The whole of spec.json. ``parents`` maps a reference (``teacher``) to the job it means."""

    format: int = FORMAT
    pipeline: PlainName
    stage: PlainName
    seed: SeedNumber | None
    kind: str
    role: str | None
    fingerprint: str
    parents: dict[PlainName, Parent]
    data: DataSpec | None
    settings: SettingsOf
    resources: Needs

    @property
    def key(self) -> JobKey:
        """Return the name of the job."""
        return JobKey(self.stage, self.seed)

    def to_json(self) -> dict[str, object]:
        """Return the content of spec.json."""
        content: dict[str, object] = msgspec.to_builtins(self)
        return content


AnySpec: TypeAlias = StageSpec[Any]


@cache
def _type_of(kind: str) -> Any:
    """Return the type of the spec of a stage kind. Made when first asked for: commands that only look need none."""
    generic: Any = StageSpec
    return generic[SETTINGS[kind]]


def spec_from_json(content: Mapping[str, object]) -> AnySpec:
    """Return the spec that a spec.json holds. Raises ValueError, with the place of the fault, when it is none."""
    version = content.get("format", FORMAT)
    if version != FORMAT:
        raise ValueError(f"its format is {version}; this version reads {FORMAT}")
    kind = str(content.get("kind"))
    if kind not in SETTINGS:
        raise ValueError(f"no stage kind '{kind}'{did_you_mean(kind, list(SETTINGS))}")
    spec: AnySpec = msgspec.convert(content, type=_type_of(kind))
    return spec


def read_spec(folder: StageFolder) -> AnySpec:
    """Return the spec of a stage folder. Raises RunError when it is missing, damaged or of no known kind."""
    try:
        return spec_from_json(read_bounded_json(folder.spec, dict[str, object]))
    except OSError:
        raise RunError(f"{folder.spec}: missing; submit the run again") from None
    except ValueError as error:  # not JSON, no object, or not of this shape
        raise RunError(
            f"{folder.spec}: damaged, or written by another version of kd ({error}); submit the run again"
        ) from None
