"""Every operation on a batch gives what torchvision's functional form gives image by image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kd.data.image_operations import GEOMETRIC, PHOTOMETRIC, geometric_matrices, moved, resized_crops
from kd.vision_libraries import import_vision

COUNT, SIZE = 16, 32


@pytest.fixture(scope="module")
def library() -> Any:
    return import_vision("torchvision.transforms.v2.functional")


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Bytes [16, 3, 32, 32]: noise, one image of one colour, and one with a dark side."""
    images = torch.randint(
        0, 256, (COUNT, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    images[3] = 7
    images[4, :, :10] //= 4
    return images


def factors() -> Tensor:
    return torch.linspace(0.05, 1.95, COUNT)


PER_IMAGE: dict[str, tuple[Tensor, Callable[[Any, Tensor, float], Tensor]]] = {
    "brightness": (factors(), lambda library, image, value: library.adjust_brightness(image / 255, value)),
    "contrast": (factors(), lambda library, image, value: library.adjust_contrast(image / 255, value)),
    "saturation": (factors(), lambda library, image, value: library.adjust_saturation(image / 255, value)),
    "sharpness": (factors(), lambda library, image, value: library.adjust_sharpness(image / 255, value)),
    "posterize": (
        torch.arange(COUNT) % 7 + 2.0,
        lambda library, image, value: library.posterize(image, int(value)) / 255,
    ),
    "solarize": (factors() / 2, lambda library, image, value: library.solarize(image / 255, value)),
    "autocontrast": (factors(), lambda library, image, _: library.autocontrast(image / 255)),
    "equalize": (factors(), lambda library, image, _: library.equalize(image) / 255),
}


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_an_operation_of_colours_is_the_librarys(name: str, library: Any, pictures: Tensor) -> None:
    values, of_one = PER_IMAGE[name]
    expected = torch.stack(
        [of_one(library, image, float(value)) for image, value in zip(pictures, values, strict=True)]
    )
    assert torch.allclose(PHOTOMETRIC[name](pictures / 255, values), expected, atol=1e-6)


LARGEST = {"shear_x": 0.99, "shear_y": 0.99, "translate_x": 15, "translate_y": 15, "rotate": math.radians(135)}


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_movement_is_the_librarys_pixel_by_pixel(name: str, library: Any, pictures: Tensor) -> None:
    values = torch.linspace(-1, 1, COUNT) * LARGEST[name]
    values = values.trunc() if name.startswith("translate") else values

    def of_one(image: Tensor, value: float) -> Tensor:
        if name == "rotate":
            return library.rotate(image, math.degrees(value))
        turned = math.degrees(math.atan(value))
        shear = [turned if name == "shear_x" else 0.0, turned if name == "shear_y" else 0.0]
        shift = [int(value) if name == "translate_x" else 0, int(value) if name == "translate_y" else 0]
        corner = [0, 0] if name.startswith("shear") else None
        return library.affine(image, angle=0.0, translate=shift, scale=1.0, shear=shear, center=corner)

    chosen = torch.full((COUNT,), GEOMETRIC.index(name))
    expected = torch.stack([of_one(image / 255, float(value)) for image, value in zip(pictures, values, strict=True)])
    found = moved(pictures / 255, geometric_matrices(GEOMETRIC, chosen, values, SIZE))
    # where a pixel comes from the border between two, rounding decides between them
    assert (found != expected).float().mean() < 0.005


def test_a_resized_crop_is_the_librarys(library: Any, pictures: Tensor) -> None:
    draw = torch.Generator().manual_seed(1)
    boxes = torch.cat(
        [torch.randint(0, 16, (COUNT, 2), generator=draw), torch.randint(1, 17, (COUNT, 2), generator=draw)], 1
    )
    expected = [
        library.resized_crop(image / 255, *box, size=[SIZE, SIZE], antialias=False)
        for image, box in zip(pictures, boxes.tolist(), strict=True)
    ]
    assert torch.allclose(resized_crops(pictures / 255, boxes), torch.stack(expected), atol=1e-6)


def test_images_without_three_colours_keep_their_saturation() -> None:
    images = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(PHOTOMETRIC["saturation"](images, torch.tensor([0.2, 1.7])), images)
