"""Does a model know how sure it may be? Reliability bins, expected calibration error, negative log-likelihood.

Confidence is the probability of the predicted class. Bins are of equal width (Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

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


def reliability(logits_NC: Tensor, labels_N: Tensor, *, bins: int = BINS) -> Reliability:
    """Sort predictions into bins by their confidence."""
    assert len(logits_NC) == len(labels_N) > 0
    confidence, predicted = logits_NC.double().softmax(dim=1).max(dim=1)
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=logits_NC.device)[1:-1]
    index = torch.bucketize(confidence, edges)  # right-closed
    right = (predicted == labels_N).double()
    counts = torch.bincount(index, minlength=bins)
    divisor = counts.clamp(min=1)
    return Reliability(
        counts=tuple(counts.tolist()),
        confidence=tuple((torch.bincount(index, confidence, minlength=bins) / divisor).tolist()),
        accuracy=tuple((torch.bincount(index, right, minlength=bins) / divisor).tolist()),
    )


def negative_log_likelihood(logits_NC: Tensor, labels_N: Tensor) -> float:
    """Return the mean of -ln p(true class), in nats."""
    return float(F.cross_entropy(logits_NC.double(), labels_N))
