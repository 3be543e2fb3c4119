"""Images of several modalities of which one is missing or noisy, as when a camera fails: for measuring, not training.

Images are normalised, [B, C, H, W]. A missing channel is everywhere at its mean over the training images, which is the
least that a model can be told; a noisy one has Gaussian noise added, of the channel's own standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Damage = Callable[[Tensor], Tensor]  # images -> the same with one modality damaged


def damages(
    modalities: Sequence[tuple[str, int]], mean: Sequence[float], deviation: Sequence[float], *, seed: int = 0
) -> Mapping[str, Damage]:
    """Return the damages by name: ``without <modality>`` and ``noisy <modality>`` of each.

    ``mean`` and ``deviation`` are those of each channel on the images' own scale. The noise is drawn from ``seed``.
    """
    found: dict[str, Damage] = {}
    first = 0
    for name, channels in modalities:
        span = slice(first, first + channels)
        found[f"without {name}"] = _missing(span, _column(mean[span]))
        found[f"noisy {name}"] = _noisy(span, _column(deviation[span]), torch.Generator().manual_seed(seed))
        first += channels
    return found


def _missing(span: slice, mean: Tensor) -> Damage:
    def damage(images: Tensor) -> Tensor:
        changed = images.clone()
        changed[:, span] = mean.to(images)
        return changed

    return damage


def _noisy(span: slice, deviation: Tensor, generator: torch.Generator) -> Damage:
    def damage(images: Tensor) -> Tensor:
        changed = images.clone()
        noise = torch.randn(changed[:, span].shape, generator=generator)  # on the CPU: the same on every device
        changed[:, span] += noise.to(images) * deviation.to(images)
        return changed

    return damage


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values)[:, None, None]
