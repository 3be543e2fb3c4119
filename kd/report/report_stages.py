"""The stages and searches of report.json as values: numbers over the seeds, and a record of every finished job.

Accuracies are fractions, times are seconds. Seeds are keys, as JSON has them: ``"42"``, or ``"single"``.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

from kd.rundir.result_sections import Cost, DataFacts, FoundSettings, Seconds, Selection, StagingFacts, Trial

Settings: TypeAlias = dict[str, object]  # a stage's settings or data, as its spec.json has them


class SampleSummary(Struct, frozen=True, kw_only=True):
    """One number over the finished seeds; the 95 % t interval and the deviation need two of them."""

    n: int
    mean: float | None
    sd: float | None
    ci95: list[float] | None
    values: dict[str, float]


class Scores(Struct, frozen=True, kw_only=True):
    """The five metrics that every measurement has."""

    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1_score: float | None = None
    loss: float | None = None

    def of(self, metric: str) -> float | None:
        """Return one of them by its name."""
        value: float | None = getattr(self, metric)
        return value


class JobScores(Struct, frozen=True, kw_only=True):
    """Scores of the weights chosen on validation images, and of those of the last epoch."""

    best: Scores
    last: Scores


class JobRecord(Struct, frozen=True, kw_only=True):
    """One finished job: the numbers of its result.json, and its folder relative to the report."""

    run: str
    folder: str
    fingerprint: str
    metric: str
    test: JobScores
    validation: JobScores
    configuration: FoundSettings | None
    selection: Selection | None
    best_epoch: int | None
    epochs: int | None
    parameters: int | None
    trainable_parameters: int | None
    seconds: Seconds
    images_per_second: float | None
    device: str | None
    precision: str | None
    torch: str | None
    data: DataFacts
    attempts: int | None
    job_id: str | None
    host: str | None
    partition: str | None
    restarts: int | None
    queue_seconds: float | None
    staging: StagingFacts | None
    finished: float
    submitted: float | None = None
    started: float | None = None
    measured_in: str | None = None
    file_bytes: int | None = None
    cost: Cost | None = None
    calibration_error: float | None = None
    negative_log_likelihood: float | None = None
    same_as: str | None = None  # the job of this run that was trained for both


class ClassMeans(Struct, frozen=True, kw_only=True):
    """Means over the finished seeds of one class's scores on the test images, of which ``images`` are of it."""

    precision: float
    recall: float
    f1_score: float
    images: int


class CalibrationMeans(Struct, frozen=True, kw_only=True):
    """Means over the finished seeds of how far confidences can be trusted; the bins hold all seeds' predictions."""

    part: str
    expected_error: float
    negative_log_likelihood: float
    counts: list[int]
    confidence: list[float]
    accuracy: list[float]


class LabelMeans(Struct, frozen=True, kw_only=True):
    """Means over the finished seeds of one label's scores."""

    precision: float | None
    recall: float | None
    f1_score: float | None
    average_precision: float | None


class SeveralLabels(Struct, frozen=True, kw_only=True):
    """Means over the finished seeds of what images with several labels have besides the five metrics."""

    accuracy: float | None
    hamming_loss: float | None
    subset_accuracy: float | None
    average_precision: float | None
    labels: dict[str, LabelMeans]


class StagingTotals(Struct, frozen=True, kw_only=True):
    """What the jobs of a stage copied to scratch and back, summed."""

    seconds_in: float
    bytes_in: int
    seconds_out: float
    bytes_out: int


class StageSummary(SampleSummary, frozen=True, kw_only=True):
    """One stage over its seeds; the sample is the test metric of the weights chosen on validation images.

    Where the jobs of a stage disagree about ``epochs`` or ``test_images``, all their values are there.
    """

    role: str | None
    kind: str
    model: str | None
    planned: int
    metric: str
    last_epoch: SampleSummary
    validation: SampleSummary
    several_labels: SeveralLabels | UnsetType = UNSET
    test_images: int | list[int] | None
    test_half_width: float | None
    epochs: int | list[int] | None
    parameters: int | None
    trainable_parameters: int | None
    seconds: SampleSummary
    images_per_second: SampleSummary
    device: list[str]
    job_ids: dict[str, str]
    gpu_hours: float
    queue_seconds: SampleSummary
    restarts: dict[str, int]
    staging: StagingTotals | None
    attempts: dict[str, int | None]
    teacher: str | None
    parents: dict[str, str]
    settings: Settings
    data: Settings
    split_digest: list[str]
    jobs: dict[str, JobRecord]
    preparation: dict[str, float]
    precision: SampleSummary | None = None
    recall: SampleSummary | None = None
    f1_score: SampleSummary | None = None
    classes: dict[str, ClassMeans] = {}
    calibration: CalibrationMeans | None = None
    teacher_agreement: dict[str, SampleSummary] = {}


class Deployment(Struct, frozen=True, kw_only=True):
    """What a stage's model costs, beside its ``reference``: the model that it replaces.

    ``accuracy_drop`` is the reference's test metric less its own, ``compression`` the reference's bytes over its own.
    Latencies are seconds of one image in ``runtime``; ``latency_in_pytorch`` is the median of the network in PyTorch
    in float32 on the CPU. ``speed_up`` is against ``speed_up_over``.
    """

    stage: str
    reference: str | None
    accuracy_drop: float | None
    flops: int | None
    bytes: int | None
    compression: float | None
    latency_median: float | None
    latency_p95: float | None
    images_per_second: float | None
    batch: int | None
    runtime: str | None
    latency_in_pytorch: float | None
    speed_up: float | None
    speed_up_over: str | None


class SearchRecord(Struct, frozen=True, kw_only=True):
    """What one finished search found; scores are those of the validation images."""

    folder: str
    configuration: Settings | None
    metric: str | None
    validation_score: float | None
    default_score: float | None
    trials: list[Trial]
    remembered: int | None
    epochs: int | None
    seconds: Seconds
    finished: float


class SearchSummary(Struct, frozen=True, kw_only=True, rename={"searched": "for"}):
    """The searches of one stage, by seed."""

    searched: str | None
    planned: int
    n: int
    epochs: int | list[int] | None
    gpu_hours: float
    jobs: dict[str, SearchRecord]
