"""result.json as a value: what came out of one job. Written last and atomically, it *is* "done".

Every stage kind writes the first part; the sections after it are those that the kind measures. Reading needs neither
torch nor pydantic.
"""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status by a tenth.
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from kd.errors import RunError
from kd.files import sha256_file, write_json
from kd.rundir.artefacts import damaged_files
from kd.rundir.bounded_json import read_bounded_json, read_object
from kd.rundir.class_scores import Detail
from kd.rundir.folders import JobKey, StageFolder
from kd.rundir.names import PlainName, RelativePath, SeedNumber, Sha256
from kd.rundir.result_sections import (
    UNMEASURED,
    Agreement,
    BestAndLast,
    CacheFacts,
    Calibration,
    Charged,
    Cost,
    DataFacts,
    FoundSettings,
    GateFit,
    JobFacts,
    LoadedWeights,
    MissingJob,
    ModelFile,
    ModelOrigin,
    Pruning,
    Seconds,
    Selection,
    Trial,
)
from kd.rundir.stage_spec import Component, Parent, TrainSettings

FORMAT = 1  # raise it when a reader of the older format would misread the file


class StageResult(Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"searched": "for"}):
    """The whole of result.json. ``files`` maps each artefact, relative to the stage folder, to its SHA-256."""

    format: int
    stage: PlainName
    seed: SeedNumber | None
    kind: str
    role: PlainName | None
    pipeline: PlainName
    fingerprint: str
    parents: dict[str, Parent]

    device: str | None = None
    precision: str | None = None
    measured_in: str | None = None  # precision of the test metrics; None: an older result, that of the training
    torch: str | None = None
    data: DataFacts | None = None

    # a model, trained or written as a file
    model: Component | None = None
    configuration: FoundSettings | None = None
    parameters: int | None = None
    trainable_parameters: int | None = None
    epochs: int | None = None
    best_epoch: int | None = None  # from 1
    attempts: int | None = None
    metric: str | None = None  # by which epochs and stages are compared
    validation: BestAndLast | None = None
    test: BestAndLast | None = None
    images_per_second: float | None = None
    start: ModelOrigin | None = None
    pretrained: LoadedWeights | None = None
    pruning: Pruning | None = None
    steps: str | None = None  # where ``compile`` is set: how they ran, as "plain", "compiled" or "graph"
    robustness: dict[str, dict[str, float]] | None = None  # metrics by attack or damage
    file: ModelFile | None = None
    cost: Cost | None = None
    detail: Detail | None = None
    calibration: Calibration | None = None
    agreement: Agreement | None = None  # of an export with its model
    teacher_agreement: dict[str, Agreement] | None = None  # of a student with its teachers, by their stage
    seconds: Seconds | None = None
    processes: int | None = None
    gpu_memory_mb: float | None = None

    # the teachers of a distillation or a cache
    teacher: ModelOrigin | None = None
    teachers: list[ModelOrigin] | None = None
    gate: GateFit | None = None
    cache: CacheFacts | None = None

    # a selection
    selection: Selection | None = None
    charged: Charged | None = None

    # a search; ``features`` describe its task, ``training`` is what it searched settings for
    searched: str | None = None
    best: Trial | None = None
    default: Trial | None = None
    trials: list[Trial] | None = None
    remembered: int | None = None
    features: dict[str, float] | None = None
    training: TrainSettings | None = None

    # a report
    missing: list[MissingJob] | None = None

    files: dict[RelativePath, Sha256]
    job: JobFacts
    finished: float

    @property
    def key(self) -> JobKey:
        """Return the name of the job."""
        return JobKey(self.stage, self.seed)

    @property
    def test_accuracy(self) -> float | None:
        """Return the test accuracy of the weights chosen on validation images, where the stage measured one."""
        return (self.test.best if self.test else UNMEASURED).accuracy


class DamagedResult(RunError):
    """A result.json that is there and cannot be used; ``reason`` is why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: damaged ({reason})")
        self.reason = reason


def write_result(folder: StageFolder, result: StageResult) -> None:
    """Write result.json atomically: from now on the job is done. Raises ValueError when a number is NaN."""
    started = result.job.attempt or 0
    if result.attempts is not None and started > result.attempts:  # one died before its first checkpoint
        result = msgspec.structs.replace(result, attempts=started)
    write_json(folder.result, msgspec.to_builtins(result))


def load_result(folder: StageFolder) -> StageResult:
    """Return the result of a job that is done.

    Raises FileNotFoundError when there is none, DamagedResult when it cannot be used, and RunError when a newer version
    of kd wrote it.
    """
    try:
        result = read_bounded_json(folder.result, StageResult)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        _require_known_format(folder, (read_object(folder.result) or {}).get("format"))
        raise DamagedResult(folder.result, str(error)) from None
    _require_known_format(folder, result.format)
    return result


def _require_known_format(folder: StageFolder, version: object) -> None:
    if isinstance(version, int) and version > FORMAT:
        raise RunError(f"{folder.result}: a newer version of kd wrote it (format {version}; this one reads {FORMAT})")


def read_result(folder: StageFolder) -> StageResult | None:
    """Return the result of a job, or None when it is not done: result.json is absent or damaged.

    Raises RunError when a newer version of kd wrote it: such a job is done, and must not be run over it again.
    """
    try:
        return load_result(folder)
    except (FileNotFoundError, DamagedResult):
        return None


def damaged_artefacts(
    folder: StageFolder, result: StageResult, digest_of: Callable[[Path], str] = sha256_file
) -> list[str]:
    """Return the artefacts named in a result that are missing or whose bytes changed."""
    return damaged_files(folder.path, result.files, digest_of)
