"""A learned weighting of several teachers: a scorer that all of them share, and a softmax over their scores.

w_m(x) = softmax_m MLP([phi(x); log p_m(x); t_m]), with phi(x) the mean of all teachers' log-probabilities and t_m a
learned embedding of teacher m. It is fitted to the mixture's cross-entropy on held-out images, where no teacher has
seen the answer, before the student's first step: the student cannot bend it towards the teacher that is easiest to
imitate, and being a function of the teachers' logits alone it costs a training nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EMBEDDING, BATCH = 16, 256


class GateFit(NamedTuple):
    """How a fitted gate does on the images it was fitted to: cross-entropies, and exp(mean entropy of its weights)."""

    loss: float
    uniform_loss: float
    best_teacher_loss: float
    teachers_used: float


class Gate(nn.Module):
    """Maps logits [B, M, C] to weights [B, M]. ``beta`` rewards the entropy of the weights while it is fitted."""

    def __init__(
        self, teachers: int, num_classes: int, *, hidden: int, dropout: float, beta: float, epochs: int, lr: float
    ) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.zeros(teachers, EMBEDDING))
        self.scorer = nn.Sequential(
            nn.Linear(2 * num_classes + EMBEDDING, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )
        self._beta, self._epochs, self._lr = beta, epochs, lr
        self.eval()

    def forward(self, logits_BMC: Tensor, labels_B: Tensor | None = None) -> Tensor:
        """Return the weights [B, M]; the labels are not looked at."""
        return self._log_weights(logits_BMC.log_softmax(-1)).exp()

    def fit(self, logits_NMC: Tensor, labels_N: Tensor, *, seed: int) -> GateFit:
        """Train on held-out images: a pure function of them and the seed. On the CPU, in float32."""
        log_p, labels = logits_NMC.float().cpu().log_softmax(-1), labels_N.cpu()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._start_over()
            optimizer = torch.optim.Adam(self.parameters(), lr=self._lr)
            self.train()
            for _ in range(self._epochs):
                for rows in torch.split(torch.randperm(len(labels)), BATCH):
                    optimizer.zero_grad()
                    self._cost(log_p[rows], labels[rows]).backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
            self.eval().requires_grad_(False)
        return self._summary(log_p, labels)

    def _start_over(self) -> None:
        nn.init.normal_(self.embeddings)
        for layer in self.scorer:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def _log_weights(self, log_p_BMC: Tensor) -> Tensor:
        # a probability of 1e-9 means the same to the scorer as one of 1e-90
        clipped = log_p_BMC.clamp(min=-20.0)
        shared = clipped.mean(1, keepdim=True).expand_as(clipped)
        named = self.embeddings.expand(len(clipped), -1, -1)
        scores: Tensor = self.scorer(torch.cat([shared, clipped, named], dim=-1)).squeeze(-1)
        return scores.log_softmax(1)

    def _cost(self, log_p_BMC: Tensor, labels_B: Tensor) -> Tensor:
        log_weights = self._log_weights(log_p_BMC)
        return _mixture_loss(log_p_BMC, log_weights, labels_B) - self._beta * _entropy(log_weights)

    @torch.no_grad()
    def _summary(self, log_p: Tensor, labels: Tensor) -> GateFit:
        log_weights = self._log_weights(log_p)
        alone = [float(F.nll_loss(log_p[:, teacher], labels)) for teacher in range(log_p.shape[1])]
        return GateFit(
            loss=float(_mixture_loss(log_p, log_weights, labels)),
            uniform_loss=float(_mixture_loss(log_p, torch.zeros_like(log_weights).log_softmax(1), labels)),
            best_teacher_loss=min(alone),
            teachers_used=float(_entropy(log_weights).exp()),
        )


def _mixture_loss(log_p_BMC: Tensor, log_weights_BM: Tensor, labels_B: Tensor) -> Tensor:
    """Return the cross-entropy of the weighted mean of the teachers' probabilities."""
    own = log_p_BMC.gather(2, labels_B[:, None, None].expand(-1, log_p_BMC.shape[1], 1)).squeeze(2)
    return -(own + log_weights_BM).logsumexp(1).mean()


def _entropy(log_weights_BM: Tensor) -> Tensor:
    return -(log_weights_BM.exp() * log_weights_BM).sum(1).mean()
