"""How well a model does on a part of the data. The only code that a test part is ever given to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.evaluate.metrics import Metrics, count_predictions, empty_confusion, summarise


@torch.inference_mode()
def measure(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_classes: int,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    add_up: Callable[[Tensor], None] = lambda count: None,
) -> Metrics:
    """Return the metrics over all batches of (normalised images [B, C, H, W], labels [B]).

    The loss is the plain cross-entropy, whatever the model was trained with, so that arms compare. The model
    is left in evaluation mode. Of several processes each is given its own batches, and ``add_up`` sums a tensor over
    all of them in place.
    """
    model.eval()
    confusion = empty_confusion(num_classes, device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in batches:
        with autocast():
            logits = model(images)
        logits = logits.float()
        loss += F.cross_entropy(logits, labels, reduction="sum")
        count_predictions(confusion, logits, labels)
    add_up(confusion)
    add_up(loss)
    return summarise(confusion, float(loss / confusion.sum()))
