"""The memory of the contrastive loss ``crd``: embeddings of every training image, of both networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kd.errors import SpecError
from kd.losses.draws import Draws
from kd.losses.numerics import unit


class ContrastiveMemory(nn.Module):
    """Embeds both networks' features on the unit sphere and remembers those of every training image (CRD).

    ``labels_N`` are the classes of the training images: images of an anchor's class are not drawn as its negatives.
    """

    width = 128
    student_bank: Tensor
    teacher_bank: Tensor
    log_normalisers: Tensor
    labels: Tensor
    by_class: Tensor
    counts: Tensor
    starts: Tensor

    def __init__(self, student_width: int, teacher_width: int, labels_N: Tensor) -> None:
        super().__init__()
        self.embed_student = nn.Linear(student_width, self.width)
        self.embed_teacher = nn.Linear(teacher_width, self.width)
        counts = torch.bincount(labels_N)
        if int((counts > 0).sum()) < 2:
            raise SpecError(["loss 'crd' needs images of at least two classes"])
        for name in ("student_bank", "teacher_bank"):
            bank = torch.empty(len(labels_N), self.width).uniform_(-1, 1) / math.sqrt(self.width / 3)
            self.register_buffer(name, bank)
        self.register_buffer("log_normalisers", torch.full((2,), math.nan))  # fixed at the first batch
        # which images are of which class follows from the labels: not saved
        self.register_buffer("labels", labels_N.clone(), persistent=False)
        self.register_buffer("by_class", torch.argsort(labels_N, stable=True), persistent=False)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        self._draws = Draws()

    def embed(self, student_BD: Tensor, teacher_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Return both networks' embeddings [B, width], of length 1."""
        return unit(self.embed_student(student_BD), dim=1), unit(self.embed_teacher(teacher_BD), dim=1)

    def draw(self, indices_B: Tensor, negatives: int) -> Tensor:
        """Return [B, negatives] images of other classes than the anchors', drawn with replacement on the device.

        Another draw for every batch remembered, and the same in every process that trains this model.
        """
        classes = self.labels[indices_B]
        starts, counts = self.starts[classes][:, None], self.counts[classes][:, None]
        others = len(self.labels) - counts
        generator = self._draws.generator(indices_B.device)
        chance = torch.rand(len(indices_B), negatives, device=indices_B.device, generator=generator)
        places = torch.minimum((chance * others).long(), others - 1)
        return self.by_class[places + counts * (places >= starts)]  # skip the anchor's class

    def normalised(self, scores: Tensor) -> Tensor:
        """Return log-scores [2, B, 1 + K] minus a constant per network: the mean score of the first batch times N."""
        mean = scores.detach().flatten(1).logsumexp(1) - math.log(scores[0].numel())
        first = self.log_normalisers.isnan()
        self.log_normalisers = torch.where(first, mean + math.log(len(self.labels)), self.log_normalisers)
        return scores - self.log_normalisers[:, None, None]

    @torch.no_grad()
    def remember(self, indices_B: Tensor, student: Tensor, teacher: Tensor, momentum: float) -> None:
        """Move the remembered embeddings of these images to ``student`` and ``teacher`` [B, width]."""
        self.student_bank = _moved(self.student_bank, indices_B, student, momentum)
        self.teacher_bank = _moved(self.teacher_bank, indices_B, teacher, momentum)
        self._draws.advance()

    def get_extra_state(self) -> Tensor:
        """Return where the draws stand, to be saved with the parameters and banks."""
        return self._draws.state

    def set_extra_state(self, state: Tensor) -> None:
        """Take back what ``get_extra_state`` returned."""
        self._draws = Draws(state)


def _moved(bank: Tensor, indices_B: Tensor, embeddings: Tensor, momentum: float) -> Tensor:
    """Return a new bank: the old one is still needed to differentiate by."""
    moved = momentum * bank[indices_B] + (1 - momentum) * embeddings
    return bank.index_copy(0, indices_B, unit(moved, dim=1))
