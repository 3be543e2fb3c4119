"""Does a model know how sure it may be? Reliability bins, expected calibration error, negative log-likelihood.

Confidence is the probability of the predicted class; of several labels per image every answer, yes or no, is a
prediction of its own. Bins are of equal width (Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kd.evaluate.measure import summed_cross_entropy
from kd.evaluate.metrics import as_choices

BINS = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Reliability:
    """Predictions by confidence: bin i holds confidences in (i / bins, (i + 1) / bins], the first one 0 as well.

    ``confidence`` and ``accuracy`` are means over a bin, 0 where it is empty.
    """

    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]

    @property
    def expected_error(self) -> float:
        """The expected calibration error (ECE): the mean gap between confidence and accuracy, by predictions."""
        gaps = zip(self.counts, self.confidence, self.accuracy, strict=True)
        return sum(count * abs(sure - right) for count, sure, right in gaps) / sum(self.counts)


def reliability(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> Reliability:
    """Sort predictions into bins by their confidence: logits [N, C] and labels [N], or both [N, K]."""
    assert len(logits) == len(labels) > 0
    if labels.ndim == 2:
        logits, labels = as_choices(logits), labels.flatten()
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=logits.device)[1:-1]
    index = torch.bucketize(confidence, edges)  # right-closed
    right = (predicted == labels).double()
    counts = torch.bincount(index, minlength=bins)
    divisor = counts.clamp(min=1)
    return Reliability(
        counts=tuple(counts.tolist()),
        confidence=tuple((torch.bincount(index, confidence, minlength=bins) / divisor).tolist()),
        accuracy=tuple((torch.bincount(index, right, minlength=bins) / divisor).tolist()),
    )


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> float:
    """Return the mean of -ln p(true class), in nats; of several labels, [N, K], of -ln p(true answer)."""
    return float(summed_cross_entropy(logits.double(), labels)) / labels.numel()
