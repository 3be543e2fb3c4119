"""How well a model does on a part of the data. The only code that a test part is ever given to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.evaluate.metrics import Metrics, count_predictions, empty_confusion, summarise


def ignore(logits: Tensor, labels: Tensor) -> None:
    """Do nothing with a batch's logits and labels."""


@torch.inference_mode()
def measure(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: torch.device,
    multi_label: bool = False,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    add_up: Callable[[Tensor], None] = lambda count: None,
    also: Callable[[Tensor, Tensor], None] = ignore,
) -> Metrics:
    """Return the metrics over all batches of (normalised images [B, C, H, W], labels [B], or [B, K] of several).

    The loss is the plain cross-entropy (binary, a mean over labels too, where they are several), whatever the model
    was trained with, so that arms compare. The model is left in evaluation mode. Of several processes each is given
    its own batches, and ``add_up`` sums a tensor over all of them in place. ``also`` is given the logits and labels of
    every batch.
    """
    model.eval()
    confusion = empty_confusion(num_classes, device, multi_label=multi_label)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in batches:
        with autocast():
            logits = model(images)
        logits = logits.float()
        loss += summed_cross_entropy(logits, labels)
        count_predictions(confusion, logits, labels)
        also(logits, labels)
    add_up(confusion)
    add_up(loss)
    return summarise(confusion, float(loss / confusion.sum()))


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the cross-entropies of logits [B, C] with labels [B], or of all labels [B, K] by themselves."""
    if labels.ndim == 1:
        return F.cross_entropy(logits, labels, reduction="sum")
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
