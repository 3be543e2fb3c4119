"""What a training's images take of memory, before they are read. Torch-free: a dry run and the job itself ask here.

The forecast counts no weights and no activations, so it is a lower bound: what exceeds it cannot run.
"""

from __future__ import annotations

from dataclasses import dataclass

from kd.data.forecast import PROCESS_BYTES, Images, Network, forecast
from kd.jobfile.image_counts import image_counts
from kd.jobfile.shapes import image_shape
from kd.rundir.stage_spec import AnySpec, TrainSettings

GIBIBYTE = 1 << 30
FEWER = "use fewer or smaller images"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagesForecast:
    """``images`` in words; bytes of them as they are read, and at the least of the machine's memory and of a GPU's."""

    images: str
    read: int
    memory: int
    gpu_memory: int

    def beyond(self, given: int, whose: str, remedy: str) -> str | None:
        """Return a line with the numbers and the remedy where the machine's memory does not suffice, or None."""
        return self._line(self.memory, given, whose, remedy)

    def beyond_gpu(self, given: int, whose: str, remedy: str) -> str | None:
        """Return the same of a GPU's memory."""
        return self._line(self.gpu_memory, given, whose, remedy)

    def _line(self, least: int, given: int, whose: str, remedy: str) -> str | None:
        if least <= given:
            return None
        numbers = f"{_gib(self.read)} as they are read, at least {_gib(least)} with all copies"
        return f"{self.images} take {numbers}, and {whose} has {_gib(given)}: {remedy}"


def images_forecast(spec: AnySpec) -> ImagesForecast | None:
    """Return what a training's images take; None for other stages, and where only reading the images tells."""
    settings, data = spec.settings, spec.data
    if data is None or not isinstance(settings, TrainSettings):
        return None
    shape, counts = image_shape(data), image_counts(data.name, data.root, data.arguments)
    if shape is None or counts is None:
        return None

    def part(count: int) -> Images:
        return Images(count=max(0, count), channels=shape.channels, size=shape.size)

    train = data.train_subset or counts.train
    held_out = data.validation if isinstance(data.validation, int) else round(data.validation * train)
    needed = forecast(
        part(train - held_out),
        part(held_out),
        part(data.test_subset or counts.test),
        Network(parameters=0),
        padding=settings.augment.crop,
        flip=bool(settings.augment.flip),
        gpu=spec.resources.gpus > 0,
    )
    read = part(counts.train + counts.test).bytes
    return ImagesForecast(
        images=f"the {counts.train + counts.test:,} images of {data.name}",
        read=read,
        memory=max(needed.memory, PROCESS_BYTES + read),
        gpu_memory=needed.gpu_memory,
    )


def _gib(amount: int) -> str:
    return f"{amount / GIBIBYTE:.1f} GiB"
