"""Whole training steps without their loop, to look inside one: batch, losses, update, average and meter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from kd.catalog import load
from kd.data.mixing import Mixing
from kd.data.modalities import Modalities
from kd.data.recipe import OFF, Recipe
from kd.data.store import DeviceStore
from kd.distill.adapter_training import train_beside
from kd.distill.cached_teacher import CachedTeacher
from kd.distill.ensemble import Ensemble
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.outputs import Teacher
from kd.distill.teacher import LiveTeacher
from kd.losses.inputs import needs_features, needs_preactivations
from kd.losses.label_kinds import label_kind
from kd.train.average import WeightAverage
from kd.train.batches import AugmentedBatches
from kd.train.captured_step import CapturedStep
from kd.train.device import Runtime
from kd.train.meter import Meter
from kd.train.plain_step import PlainStep
from kd.train.state import Training
from kd.train.step import Batch, Losses, Step
from kd.train.update import Update
from kd.train.weights import ModelCard

VIEWS = 4  # of a cached teacher
CAMERAS: Modalities = (("rgb", 3), ("ir", 1))


class WholeStep:
    """A student of random weights on random images, and all that a step of its training does.

    ``terms`` are losses of the catalogue and their weights. With ``privileged`` images have an infrared channel that
    the student does not see; ``teacher_sees`` names what the teacher does. Several ``teachers`` are weighed by
    ``weighting``. ``captured``: the step is recorded as a CUDA graph (``kd.train.captured_step``).
    """

    def __init__(
        self,
        terms: Mapping[str, float],
        runtime: Runtime,
        *,
        student: str = "resnet20",
        teacher: str = "resnet20",
        teachers: int = 1,
        weighting: str = "uniform",
        weights: Mapping[str, Any] | None = None,
        cached: bool = False,
        privileged: bool = False,
        teacher_sees: Sequence[str] = ("rgb", "ir"),
        mixing: Mixing | None = None,
        ema: bool = False,
        clip: float | None = None,
        optimizer: str = "sgd",
        batch: int = 128,
        count: int = 1024,
        size: int = 32,
        classes: int = 10,
        cutout: int = 0,
        captured: bool = False,
        recipe: Recipe = OFF,
    ) -> None:
        self.runtime, self._classes, self._size = runtime, classes, size
        made = [make_term(name, weight) for name, weight in terms.items()]
        multi = any(label_kind(term.inputs) == "multi" for term in made)
        self._cameras = CAMERAS if privileged else CAMERAS[:1]
        self._shown = self._card(self._cameras)
        images, labels = _random_images(count, self._shown.in_channels, size, classes, multi=multi)
        self.store = DeviceStore(
            images,
            labels,
            mean=self._shown.mean,
            std=self._shown.std,
            device=runtime.device,
            padding=4,
            flip=True,
            cutout=cutout,
            recipe=recipe,
        )
        self.batches = AugmentedBatches(
            self.store,
            batch_size=batch,
            seed=1,
            mixing=mixing,
            cached_views=VIEWS if cached else None,
            channels=[0, 1, 2] if privileged else None,
        )
        torch.manual_seed(3)
        self.model = runtime.place(load("model", student)(classes, 3, size)).train()
        given: Teacher | None = None
        if not set(terms) <= {"ce", "bce"}:
            sees = [camera for camera in self._cameras if camera[0] in teacher_sees]
            asked = {name for term in made for name in term.inputs}
            one = [self._teacher(teacher, tuple(sees), asked, count if cached else 0) for _ in range(teachers)]
            given = (
                one[0]
                if teachers == 1
                else Ensemble(one, load("weighting", weighting)(teachers, classes, **(weights or {})))
            )
        self.objective = WeightedTerms(
            made,
            student=self.model,
            teacher=given,
            autocast=runtime.autocast,
            example=next(self.batches.epoch(0)),
            labels_N=labels,
            numbers_on=runtime.device if captured else None,
        )
        optimizing = load("optimizer", optimizer)(self.model.parameters(), lr=0.01)
        train_beside(optimizing, self.objective.adapters)
        self.meter = Meter(
            terms=self.objective.names,
            steps=self.batches.steps,
            num_classes=classes,
            device=runtime.device,
            multi_label=multi,
        )
        self.training = Training(
            model=self.model,
            optimizer=optimizing,
            meter=self.meter,
            adapters=self.objective.adapters,
            average=WeightAverage(self.model, 0.999) if ema else None,
            scaler=runtime.scaler(),
        )
        self._step = self._made(clip, captured)
        self._stream = self._forever()
        self._done = 0

    def _made(self, clip: float | None, captured: bool) -> Step:
        update = Update(self.training.optimizer, clip=clip, scaler=self.training.scaler)
        plain = PlainStep(model=self.model, update=update, objective=self.objective, average=self.training.average)
        return CapturedStep(plain, training=self.training, objective=self.objective) if captured else plain

    def update_on(self, batch: Batch) -> Losses:
        """Do the part of a step that changes the weights: forward, backward, update, average."""
        return self._step(batch, self._done)

    def step(self, batch: Batch | None = None) -> None:
        """Do a step on a batch, or on the next one."""
        batch = next(self._stream) if batch is None else batch
        losses = self.update_on(batch)
        costs = torch.cat([losses.total[None], losses.parts])
        self.meter.add(self._done % self.batches.steps, costs, losses.logits, batch.labels)
        self._done += 1

    def _teacher(self, name: str, sees: Modalities, asked: set[str], cached_images: int) -> Teacher:
        if cached_images:
            logits = torch.randn(VIEWS, cached_images, self._classes)
            return CachedTeacher({"logits": logits}, device=self.runtime.device)
        own = self._card(sees)
        network = self.runtime.place(load("model", name)(self._classes, own.in_channels, self._size))
        return LiveTeacher(
            network,
            own=own,
            student=self._shown,
            features=needs_features(asked),
            preactivations=needs_preactivations(asked),
            autocast=self.runtime.autocast,
        )

    def _card(self, modalities: Modalities) -> ModelCard:
        channels = sum(count for _, count in modalities)
        return ModelCard(
            name="any",
            arguments={},
            classes=tuple(map(str, range(self._classes))),
            in_channels=channels,
            image_size=self._size,
            mean=(0.5,) * channels,
            std=(0.25,) * channels,
            modalities=modalities,
        )

    def _forever(self) -> Iterator[Batch]:
        epoch = 0
        while True:
            yield from self.batches.epoch(epoch, first_step=0)
            epoch += 1


def _random_images(
    count: int, channels: int, size: int, classes: int, *, multi: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=draw)
    if multi:
        return images, torch.randint(0, 2, (count, classes), dtype=torch.uint8, generator=draw)
    return images, torch.randint(0, classes, (count,), generator=draw)
