"""The sections of a result.json: measurements, costs and facts, each as a typed value.

Accuracies and other scores are fractions, times are seconds, sizes are bytes unless a name has another unit.
Sections with ``omit_defaults`` leave out what a stage did not measure; the others write every key.
"""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status by a tenth.
from msgspec import Struct

from kd.rundir.stage_spec import JobReference


class LabelScores(Struct, frozen=True, kw_only=True):
    """Scores of one label of several per image; the average precision is None where no image has the label."""

    precision: float | None = None
    recall: float | None = None
    f1_score: float | None = None
    average_precision: float | None = None


class Metrics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model scores on one part of the data; the last four entries only where images have several labels.

    Precision, recall and F1 score are macro averages.
    """

    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1_score: float | None = None
    loss: float | None = None
    hamming_loss: float | None = None
    subset_accuracy: float | None = None
    average_precision: float | None = None
    labels: dict[str, LabelScores] | None = None


UNMEASURED = Metrics()


class BestAndLast(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Metrics of the weights chosen on validation images, and of those of the last epoch."""

    best: Metrics = UNMEASURED
    last: Metrics = UNMEASURED


class DataFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which data a stage used: the numbers of images in each part, and the digest of the train/validation split."""

    name: str | None = None
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    classes: int | None = None
    split_digest: str | None = None
    multi_label: bool = False
    modalities: list[str] | None = None  # where they are not plain images


class Seconds(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a stage took over all its attempts, and its parts."""

    total: float | None = None
    train: float | None = None
    measure: float | None = None


class LoadedWeights(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The trained file that a model began from.

    ``classifier`` and ``first_convolution`` were kept, or drawn anew and adapted. ``place`` are the keys that led to
    the weights, ``prefix`` was taken off their names, which ``names`` calls otherwise; ``left_out`` are other heads'.
    """

    file: str
    classifier: str
    first_convolution: str
    place: tuple[str, ...] = ()
    prefix: str = ""
    names: str = ""
    left_out: tuple[str, ...] = ()


class ModelFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file to deploy: its name in the stage folder and its size; what an export checked of it."""

    name: str | None = None
    bytes: int | None = None
    difference: float | None = None  # largest difference from the model's logits, of a float32 file
    int8: dict[str, float] | None = None  # how many layers are int8, and the share of the numbers they hold
    calibration_batches: int | None = None


class Latency(Struct, frozen=True, kw_only=True):
    """Seconds for one image: median and 95th percentile over ``rounds``, with ``threads`` CPU threads."""

    median: float
    p95: float | None = None
    threads: int | None = None
    rounds: int | None = None


class DeviceCost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Speed in one ``runtime``, named: latency of one image, and throughput in batches of ``batch`` images."""

    runtime: str | None = None  # None: an older result, measured in the precision of its training
    latency: Latency | None = None
    images_per_second: float | None = None
    batch: int | None = None


class Cost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Floating-point operations of one image, and the speed on the devices it was measured on.

    ``cpu`` is of the stage's own file: PyTorch in float32, or an exported file's runtime. Of an export, ``network`` is
    of its network in PyTorch, ``float32_file`` of the same network's float32 file in the runtime of its int8 file.
    """

    flops: int | None = None
    cpu: DeviceCost | None = None
    gpu: DeviceCost | None = None
    network: DeviceCost | None = None
    float32_file: DeviceCost | None = None

    @property
    def in_pytorch(self) -> DeviceCost | None:
        """Return the speed in PyTorch in float32 on the CPU, the one runtime in which all models compare."""
        return self.network or self.cpu


class Calibration(Struct, frozen=True, kw_only=True):
    """How far confidences can be trusted on a part of the data: the expected calibration error, and its bins."""

    part: str = "validation"  # what older results measured; now it is the test part
    expected_error: float
    negative_log_likelihood: float
    counts: list[int]
    confidence: list[float]
    accuracy: list[float]


class Agreement(Struct, frozen=True, kw_only=True):
    """Agreement with another model on validation images: share of equal predictions, KL divergence in nats."""

    top1: float
    kl: float


class ModelOrigin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trained model that a stage used: where it comes from, its validation accuracy, and the cache in between."""

    stage: str
    seed: int | None
    validation_accuracy: float | None = None
    cache: JobReference | None = None


class CacheFacts(Struct, frozen=True, kw_only=True):
    """The digest of all that decides a cache's content, and the shape of each tensor in it."""

    key: str
    shapes: dict[str, list[int]]


class ModelSize(Struct, frozen=True, kw_only=True):
    """Parameters and floating-point operations of one image."""

    parameters: int
    flops: int


class Pruning(Struct, frozen=True, kw_only=True):
    """What pruning removed; ``spared`` names the layers that were left whole."""

    ratio: float
    before: ModelSize
    after: ModelSize
    spared: list[str]


class GateFit(Struct, frozen=True, kw_only=True):
    """How well a gate over several teachers fits: its loss on held-out images against simpler weightings."""

    loss: float
    uniform_loss: float
    best_teacher_loss: float
    teachers_used: float


class FoundSettings(Struct, frozen=True, kw_only=True):
    """Settings that a search found, by dotted key, and the epochs that all its trials took."""

    stage: str
    seed: int | None
    epochs: int
    values: dict[str, object]


class Trial(Struct, frozen=True, kw_only=True):
    """A finished short training of configuration ``number`` (from 1) of a search.

    ``score`` and ``loss`` are those of the validation images at the best epoch, None when the training diverged; higher
    scores are better. ``seconds`` covers all its attempts.
    """

    number: int
    epochs: int
    configuration: dict[str, object]
    score: float | None
    loss: float | None
    seconds: float


class SelectionStep(Struct, frozen=True, kw_only=True):
    """A candidate of a selection, and the student that judged it (see ``kd.distill.chain.Step`` for the numbers)."""

    candidate: str
    parameters: int | None = None
    student: str | None = None
    error: float
    fall: float | None = None
    standard_error: float | None = None
    needed: float | None = None
    accepted: bool


class Selection(Struct, frozen=True, kw_only=True):
    """Which candidate a selection chose, on how many validation images, and each step on the way."""

    chosen: str
    images: int
    steps: list[SelectionStep]


class TrainingCost(Struct, frozen=True, kw_only=True):
    """Epochs and seconds of one stage's training."""

    epochs: int
    seconds: float


class Charged(Struct, frozen=True, kw_only=True):
    """What a selection cost: the trainings, by stage, of all candidates but the first and of all students."""

    epochs: int
    seconds: float
    stages: dict[str, TrainingCost]


class StagingFacts(Struct, frozen=True, kw_only=True):
    """How a job copied its files to scratch and back."""

    work: str | None = None
    data: str | None = None
    seconds_in: float | None = None
    bytes_in: int | None = None
    seconds_out: float | None = None
    bytes_out: int | None = None
    data_sha256: dict[str, str] = {}


class JobFacts(Struct, frozen=True, kw_only=True):
    """Where and when the last attempt ran; times are Unix times. None where it ran outside the launcher."""

    executor: str | None = None
    cluster: str | None = None
    job_id: str | None = None
    partition: str | None = None
    host: str | None = None
    attempt: int | None = None
    restarts: int | None = None
    submitted: float | None = None
    started: float | None = None
    scratch: str | None = None
    staging: StagingFacts | None = None

    @property
    def queue_seconds(self) -> float | None:
        """How long the job waited to start; None after a restart, of which only the last start is known."""
        return self.started - self.submitted if self.submitted and self.started and not self.restarts else None


class MissingJob(Struct, frozen=True, kw_only=True):
    """A planned job without a verified result, and why; ``folder`` is relative to the report."""

    stage: str
    seed: int | None
    state: str
    reason: str
    run: str
    folder: str
