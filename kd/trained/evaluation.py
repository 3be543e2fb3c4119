"""A trained model, measured on one part of any data set: quality, confidence and cost, with the runtime named."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from kd.compress.cost import Latency, count_parameters, measure_latency, measure_throughput
from kd.data.arrays import ImageArrays
from kd.data.split import split
from kd.data.store import DeviceStore
from kd.errors import DataError, SpecError
from kd.evaluate.detail import Detail, detail_of
from kd.evaluate.measure import measure
from kd.evaluate.metrics import Metrics
from kd.trained.open_model import TrainedModel

THROUGHPUT_BATCH = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What was measured. Bytes are those of the model's file; times are seconds of ``threads`` threads."""

    file: str
    model: str
    runtime: str
    images: int
    part: str
    metrics: Metrics
    detail: Detail
    parameters: int | None  # None: an exported file does not tell
    bytes: int
    latency: Latency
    images_per_second: float

    def to_json(self) -> dict[str, object]:
        """Return the content of the JSON file."""
        content = asdict(self)
        content["detail"]["calibration"]["expected_error"] = self.detail.calibration.expected_error
        return content


def evaluate(trained: TrainedModel, arrays: ImageArrays, *, part: str, validation: float | None) -> Evaluation:
    """Measure a model on ``part`` of a data set, on the CPU in float32, as its card prepares images.

    ``validation`` is what the job file cuts from the training images. Raises SpecError when the data are of another
    shape than the model's images or of other classes, or have no such part.
    """
    seen = _as_seen(trained, arrays)
    images, labels = _part(seen, part, validation)
    store = DeviceStore(images, labels, mean=trained.card.mean, std=trained.card.std)
    logits: list[Tensor] = []
    metrics = measure(
        trained,
        store.in_order(),
        num_classes=len(trained.classes),
        device=torch.device("cpu"),
        multi_label=trained.card.multi_label,
        also=lambda found, _: logits.append(found),
    )
    batch = store.batch(torch.arange(min(THROUGHPUT_BATCH, len(labels))))
    return Evaluation(
        file=str(trained.file),
        model=trained.card.name,
        runtime=f"{_runtime(trained.file)}, {torch.get_num_threads()} threads",
        images=len(labels),
        part=part,
        metrics=metrics,
        detail=detail_of(torch.cat(logits), labels, trained.classes),
        parameters=count_parameters(trained) or None,
        bytes=trained.file.stat().st_size,
        latency=measure_latency(trained, batch[0]),
        images_per_second=measure_throughput(trained, batch),
    )


def _runtime(file: Path) -> str:
    return "ONNX Runtime on the CPU" if file.suffix == ".onnx" else "PyTorch float32 on the CPU"


def _as_seen(trained: TrainedModel, arrays: ImageArrays) -> ImageArrays:
    """Return the data with the modalities that the model sees. Raises SpecError where the two do not fit."""
    card = trained.card
    names = [name for name, _ in card.seen]
    seen = arrays.seen_by(names if card.modalities and len(arrays.modalities) > 1 else None)
    if seen.multi_label != card.multi_label:
        raise SpecError(
            [f"{trained.file}: the model gives {_answers(card.multi_label)}, the data {_answers(seen.multi_label)}"]
        )
    if (seen.channels, seen.image_size) != (card.in_channels, card.image_size):
        ours, theirs = f"{card.in_channels} x {card.image_size}²", f"{seen.channels} x {seen.image_size}²"
        raise SpecError([f"{trained.file}: takes images of {ours} (channels x pixels), the data are {theirs}"])
    if seen.classes != card.classes:
        raise SpecError([f"{trained.file}: {_differing(card.classes, seen.classes)}"])
    return seen


def _answers(several: bool) -> str:
    return "several labels per image" if several else "one class per image"


def _differing(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    """Return in words how two lists of classes differ."""
    if len(ours) != len(theirs):
        return f"the model knows {len(ours)} classes, the data have {len(theirs)}"
    number = next(index for index, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    return f"class {number} is '{ours[number]}' to the model and '{theirs[number]}' in the data"


def _part(arrays: ImageArrays, part: str, validation: float | None) -> tuple[Tensor, Tensor]:
    if part == "test":
        return arrays.test_images, arrays.test_labels
    if not validation:
        raise SpecError(["validation images are cut by a job file's 'validation': give it with --data"])
    try:
        cut = split(arrays.train_labels, validation)
    except DataError as error:
        raise SpecError([str(error)]) from None
    indices = cut.validation if part == "validation" else cut.train
    return arrays.train_images[indices], arrays.train_labels[indices]
