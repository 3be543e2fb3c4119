"""The parts of a stage's data on its device: training, validation, and the test part as bytes until the end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from kd.data.arrays import ImageArrays
from kd.data.load_arrays import load_arrays
from kd.data.modalities import channels_of
from kd.data.recipe import Recipe
from kd.data.split import Split, split
from kd.data.store import DeviceStore
from kd.errors import SpecError
from kd.models.normalisation import Statistics, normalisation_of
from kd.rundir.result_sections import DataFacts
from kd.rundir.stage_spec import Augment, Component, DataSpec
from kd.train.device import measured_part_fits
from kd.train.weights import ModelCard

PLAIN = Augment(crop=0, flip=False)  # images as they are


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StageData:
    """The data set called ``name``: ``train`` gives augmented views, ``validation`` plain images.

    ``arrays`` have the modalities that the stage's model sees, ``whole`` has all of them. ``channels`` are the model's
    channels among those of ``train``, where ``train`` keeps more for teachers to see.
    """

    name: str
    arrays: ImageArrays
    whole: ImageArrays
    train: DeviceStore
    validation: DeviceStore
    split: Split
    device: torch.device
    channels: list[int] | None = None

    def card(self, model: Component) -> ModelCard:
        """Return the card of a model for the images as the stage's model sees them."""
        return _card(model, self.arrays)

    def shown_card(self, model: Component) -> ModelCard:
        """Return the card of the images that teachers are shown."""
        return _card(model, self.arrays if self.channels is None else self.whole)

    def shown_validation(self) -> DeviceStore:
        """Return the validation images as teachers are shown them."""
        if self.channels is None:
            return self.validation
        return _part(self.whole, self.split.validation, self.device)

    def content_digest(self) -> str:
        """Return the SHA-256 of the images (all modalities) and labels to learn from and of their split.

        It takes 0.1 s for CIFAR.
        """
        digest = hashlib.sha256(self.split.digest.encode())
        for values in (self.whole.train_images, self.whole.train_labels):
            digest.update(f"{list(values.shape)} {values.dtype}".encode())
            digest.update(values.contiguous().numpy().data)
        return digest.hexdigest()

    def facts(self) -> DataFacts:
        """Return what a result records of the data."""
        names = [name for name, _ in self.arrays.modalities]
        return DataFacts(
            name=self.name,
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.arrays.test_labels),
            classes=len(self.arrays.classes),
            split_digest=self.split.digest,
            multi_label=self.arrays.multi_label,
            modalities=names if names != ["image"] else None,
        )

    def test_store(self, *, instead_of_training: bool = False) -> DeviceStore:
        """Return the test part on the device. For the measurement at the end, and nothing else.

        ``instead_of_training``: the training images go from the device first, to make room.
        """
        if instead_of_training:
            self.train.free()
        return _store(self.arrays, self.arrays.test_images, self.arrays.test_labels, self.device)


def load_data(
    data: DataSpec | None,
    *,
    augment: Augment = PLAIN,
    staged: Path | None,
    device: torch.device,
    modalities: Sequence[str] | None = None,
    privileged: bool = False,
    model: Component | None = None,
    normalisation: Statistics | None = None,
) -> StageData:
    """Load and split the data of a spec; ``staged`` replaces the root it names.

    The stage's model sees these ``modalities``, or all; with ``privileged`` training keeps all for teachers to see.
    ``model`` may choose by what pixels are normalised; ``normalisation`` names the values outright.
    Raises DataError when the data are missing or too few, SpecError when no validation images are asked for or the
    images have no such modality.
    """
    assert data is not None, "the spec of this stage kind names its data"
    root = staged or (Path(data.root) if data.root else None)
    whole = load_arrays(data.name, root, data.arguments, data.train_subset, data.test_subset)
    if normalisation is None and model is not None:
        normalisation = normalisation_of(model.name, model.arguments, whole.channels)
    if normalisation is not None:
        whole = replace(whole, mean=normalisation[0], std=normalisation[1])
    chosen = split(whole.train_labels, data.validation)
    if not len(chosen.validation):
        raise SpecError(["data.validation: at least one image is needed, the best epoch is chosen by them"])
    arrays = whole.seen_by(modalities)
    keeps_more = privileged and arrays is not whole
    return StageData(
        name=data.name,
        arrays=arrays,
        whole=whole,
        train=_part(whole if keeps_more else arrays, chosen.train, device, augment),
        validation=_part(arrays, chosen.validation, device),
        split=chosen,
        device=device,
        channels=channels_of(whole.modalities, arrays.modalities) if keeps_more else None,
    )


def _card(model: Component, arrays: ImageArrays) -> ModelCard:
    return ModelCard(
        name=model.name,
        arguments=model.arguments,
        classes=arrays.classes,
        in_channels=arrays.channels,
        image_size=arrays.image_size,
        mean=arrays.mean,
        std=arrays.std,
        modalities=arrays.modalities,
        multi_label=arrays.multi_label,
    )


def _part(arrays: ImageArrays, indices: Tensor, device: torch.device, augment: Augment | None = None) -> DeviceStore:
    """Return some of the training images on the device, to be trained on under augmentation or only measured."""
    return _store(arrays, arrays.train_images, arrays.train_labels, device, augment, indices)


def _store(
    arrays: ImageArrays,
    images: Tensor,
    labels: Tensor,
    device: torch.device,
    augment: Augment | None = None,
    indices: Tensor | None = None,
) -> DeviceStore:
    views = augment or PLAIN
    return DeviceStore(
        images,
        labels,
        mean=arrays.mean,
        std=arrays.std,
        device=device,
        indices=indices,
        resident=augment is not None or measured_part_fits(images.nbytes, device),
        padding=views.crop,
        flip=views.flip,
        edges=views.edges,
        cutout=views.cutout,
        recipe=Recipe(
            resized_crop=views.resized_crop,
            color_jitter=views.color_jitter,
            trivial_augment=views.trivial_augment,
            rand_augment=views.rand_augment,
            erase=views.erase,
        ),
    )
