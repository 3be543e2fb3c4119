"""Declared image shapes are the shapes of the data sets that can be read here."""

from __future__ import annotations

import pytest

from kd.data.load_arrays import load_arrays
from kd.jobfile.schema import Data
from kd.jobfile.shapes import Shape, image_shape


@pytest.mark.parametrize(
    "data",
    [
        Data(name="digits", validation=1),
        Data.model_validate({"name": "synthetic", "validation": 1, "train": 20, "test": 9}),
        Data.model_validate({"name": "synthetic", "validation": 1, "classes": 3, "size": 12, "channels": 1}),
        Data.model_validate({"name": "synthetic_rgb_ir", "validation": 1, "images": 12, "size": 8, "labels": ["fog"]}),
    ],
    ids=["digits", "synthetic", "synthetic grey", "synthetic frames"],
)
def test_declared_shapes_are_true(data: Data) -> None:
    arrays = load_arrays(data.name, None, data.arguments)
    several = tuple(name for name, _ in arrays.modalities) if len(arrays.modalities) > 1 else ()
    assert image_shape(data) == Shape(
        len(arrays.classes), arrays.channels, arrays.image_size, several, arrays.multi_label
    )


def test_images_in_folders_declare_their_size() -> None:
    data = Data.model_validate({"name": "image_folder", "validation": 1, "size": 64, "grey": True})
    shape = image_shape(data)
    assert shape
    assert (shape.channels, shape.size) == (1, 64)


@pytest.mark.parametrize(("coarse", "classes"), [(False, 100), (True, 20)])
def test_cifar_100_declares_its_classes_or_its_groups(coarse: bool, classes: int) -> None:
    data = Data.model_validate({"name": "cifar100", "validation": 1, "coarse": coarse})
    assert image_shape(data) == Shape(classes, 3, 32)
