"""Accuracy under attack: images changed within a bound so that the loss grows (white box, maximum norm).

FGSM is one step by the sign of the gradient (Goodfellow et al. 2015, arXiv:1412.6572), PGD many small ones from a
random start, each brought back into the bound (Madry et al. 2018, arXiv:1706.06083). Bounds and steps are fractions of
the range of a pixel; images stay images, with pixels from 0 to 1 before they are normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from kd.evaluate.measure import summed_cross_entropy

Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]  # model, images, labels -> changed images


class PixelScale:
    """How pixels from 0 to 1 lie on the scale of images normalised by ``mean`` and ``std``, per channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean, self._std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]

    def length(self, pixels: float, like: Tensor) -> Tensor:
        """Return a difference of pixels [C, 1, 1] on the images' scale, as a tensor like theirs."""
        return (pixels / self._std).to(like)

    def clip(self, images_BCHW: Tensor) -> Tensor:
        """Bring every pixel back to between 0 and 1."""
        mean, std = self._mean.to(images_BCHW), self._std.to(images_BCHW)
        return images_BCHW.clamp(-mean / std, (1 - mean) / std)


def fgsm(*, epsilon: float, scale: PixelScale) -> Attack:
    """Return the one-step attack with bound ``epsilon``."""

    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        step = scale.length(epsilon, images)
        return scale.clip(images + step * _gradient(model, images, labels).sign())

    return attack


def pgd(*, epsilon: float, scale: PixelScale, steps: int = 10, step_size: float | None = None, seed: int = 0) -> Attack:
    """Return the attack of many steps; ``step_size`` is 2.5 epsilon / steps where it is not given."""
    generator = torch.Generator().manual_seed(seed)

    def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        bound = scale.length(epsilon, images)
        step = scale.length(2.5 * epsilon / steps if step_size is None else step_size, images)
        start = 2 * torch.rand(images.shape, generator=generator).to(images) - 1
        changed = scale.clip(images + bound * start)
        for _ in range(steps):
            changed = changed + step * _gradient(model, changed, labels).sign()
            changed = scale.clip(changed.clamp(images - bound, images + bound))
        return changed

    return attack


def attacked_accuracy(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], attack: Attack) -> float:
    """Return the accuracy over batches of (normalised images [B, C, H, W], labels) after an attack.

    Labels are [B], or [B, K] of several, whose accuracy is that of all answers. The model is left in evaluation mode,
    its gradients as they were.
    """
    model.eval()
    right = total = 0
    for images, labels in batches:
        changed = attack(model, images, labels)
        with torch.no_grad():
            logits = model(changed)
        answers = logits.argmax(dim=1) if labels.ndim == 1 else logits > 0
        right += int((answers == labels).sum())
        total += labels.numel()
    return right / total


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy by the pixels."""
    with torch.enable_grad():
        pixels = images.detach().requires_grad_(True)
        loss = summed_cross_entropy(model(pixels).float(), labels)
        return torch.autograd.grad(loss, pixels)[0]
