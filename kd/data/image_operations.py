"""Changes of whole batches, each image by its own magnitude: the operations of TrivialAugment and RandAugment.

Images are float32 [B, C, H, W] in 0..1 and magnitudes float32 [B], on one device. No shape depends on a drawn number
and nothing is read back, so no batch waits for its device. Meanings are those of
``torchvision.transforms.v2.functional``, which the tests compare with image by image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

Operation: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # images [B, C, H, W], magnitudes [B] -> images

_GREY = (0.2989, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601, as torchvision has it)
_LEVELS = 256


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Return the images ``factor`` times as bright."""
    return _blend(images, torch.zeros_like(images), factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Return the images blended with their mean grey: 0 is plain grey, 1 the image."""
    return _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Return the images blended with their grey form; images without colours stay as they are."""
    return images if images.shape[1] != len(_GREY) else _blend(images, _grey(images), factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Return the images blended with a smoothed form, whose outermost pixels are the image's own."""
    channels, (height, width) = images.shape[1], images.shape[-2:]
    if min(height, width) <= 2:
        return images
    kernel = torch.ones(3, 3, dtype=images.dtype, device=images.device)
    kernel[1, 1] = 5
    smooth = images.clone()
    weights = (kernel / 13).expand(channels, 1, 3, 3)
    smooth[..., 1:-1, 1:-1] = F.conv2d(images, weights, groups=channels)
    return _blend(images, smooth, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return the images with so many bits a channel (8 leaves bytes as they are)."""
    step = torch.exp2(8 - bits)[:, None, None, None]
    return ((images * 255).round() / step).floor() * step / 255


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Return the images with all values from ``threshold`` on inverted."""
    return torch.where(images >= threshold[:, None, None, None], 1 - images, images)


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Return the images with each channel stretched over 0..1; a channel of one value stays."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    flat = high == low
    return torch.where(flat, images, (images - low) / torch.where(flat, torch.ones_like(high), high - low))


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Return the images with each channel's histogram of 256 levels made even, as Pillow does."""
    levels = (images * 255).round().long().flatten(2)  # [B, C, H * W]
    counts = torch.zeros(*levels.shape[:2], _LEVELS, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, levels, torch.ones_like(levels))
    cumulated = counts.cumsum(2)
    last = counts.gather(2, levels.amax(2, keepdim=True))  # pixels of the highest level that occurs
    step = (cumulated[..., -1:] - last) // (_LEVELS - 1)
    safe = step.clamp(min=1)
    table = ((cumulated - counts + step // 2) // safe).clamp(max=_LEVELS - 1)
    even = table.gather(2, levels).view_as(images).to(images.dtype) / 255
    return torch.where((step == 0)[..., None], images, even)


PHOTOMETRIC: dict[str, Operation] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "sharpness": sharpness,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
}
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def geometric_matrices(names: tuple[str, ...], chosen_B: Tensor, magnitude_B: Tensor, size: int) -> Tensor:
    """Return where each pixel of the new images comes from: matrices [B, 2, 3] over pixels, (0, 0) in the corner.

    ``chosen`` counts into ``names``; an image whose operation is not geometric gets the identity. Shears are slopes
    about the upper left corner (content moves left and up); translations are pixels, to the right and down; rotations
    are radians, counterclockwise about the centre.
    """

    def of(name: str) -> Tensor:
        if name not in names:
            return torch.zeros_like(magnitude_B)
        return torch.where(chosen_B == names.index(name), magnitude_B, torch.zeros_like(magnitude_B))

    angle, centre = of("rotate"), size / 2
    cosine, sine = torch.cos(angle), torch.sin(angle)
    # What is drawn is how content moves; the matrix is the inverse, from the new pixel back to the old.
    across = centre - cosine * centre + sine * centre - of("translate_x")
    down = centre - sine * centre - cosine * centre - of("translate_y")
    first = torch.stack([cosine, of("shear_x") - sine, across], 1)
    second = torch.stack([sine + of("shear_y"), cosine, down], 1)
    return torch.stack([first, second], 1)


def moved(images: Tensor, matrices_B23: Tensor) -> Tensor:
    """Return the images with every pixel taken from where its matrix says (nearest pixel), black from outside."""
    height, width = images.shape[-2:]
    return F.grid_sample(
        images, _grid(matrices_B23, height, width), mode="nearest", padding_mode="zeros", align_corners=False
    )


def resized_crops(images: Tensor, boxes_B4: Tensor) -> Tensor:
    """Return boxes (top, left, height, width, in pixels) of the images, stretched to their whole size (bilinear)."""
    height, width = images.shape[-2:]
    boxes = boxes_B4.to(images.dtype)
    rows = _stretched(height, boxes[:, 0], boxes[:, 2], images)
    columns = _stretched(width, boxes[:, 1], boxes[:, 3], images)
    across, down = columns[:, None, :] * 2 / width - 1, rows[:, :, None] * 2 / height - 1
    grid = torch.stack([across.expand(-1, height, -1), down.expand(-1, -1, width)], dim=3)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _stretched(size: int, start_B: Tensor, length_B: Tensor, like: Tensor) -> Tensor:
    """Return where [B, size] the new pixels lie between a box's ends, half a pixel from them at least."""
    centres = (torch.arange(size, dtype=like.dtype, device=like.device) + 0.5) / size
    places = start_B[:, None] + centres * length_B[:, None]
    return torch.maximum(torch.minimum(places, (start_B + length_B - 0.5)[:, None]), (start_B + 0.5)[:, None])


def _grid(matrices_B23: Tensor, height: int, width: int) -> Tensor:
    rows = torch.arange(height, dtype=matrices_B23.dtype, device=matrices_B23.device) + 0.5
    columns = torch.arange(width, dtype=matrices_B23.dtype, device=matrices_B23.device) + 0.5
    here = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], dim=-1)
    there = here.view(1, -1, 2) @ matrices_B23[:, :, :2].transpose(1, 2) + matrices_B23[:, None, :, 2]
    across, down = there[..., 0] * (2 / width) - 1, there[..., 1] * (2 / height) - 1
    return torch.stack([across, down], dim=-1).view(-1, height, width, 2)


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    share = factor[:, None, None, None]
    return (images * share + other * (1 - share)).clamp_(0, 1)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] != len(_GREY):
        return images.mean(dim=1, keepdim=True)
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return red * _GREY[0] + green * _GREY[1] + blue * _GREY[2]
