"""The modules that some losses own: what maps the student's features to the teacher's, and what remembers features.

A loss that asks for ``adapter`` has a builder of the same name in BUILDERS. A builder's positional parameters are of
the same vocabulary (``kd.losses.inputs``), filled by one dry forward, so no shape is ever written down by hand; its
keyword-only parameters are arguments that it shares with the loss. Adapters are trained and checkpointed beside the
student and never exported with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.errors import SpecError
from kd.losses.maps import enlarge, middle, paired
from kd.losses.numerics import unit


class Regressors(nn.ModuleList):
    """One 1x1 convolution with batch norm per pair of maps, from the student's channels to the teacher's (FitNets).

    As in the benchmark that the published weight of 100 is from: without the norm, features of larger scale diverge.
    """

    def __init__(self, channels: Sequence[tuple[int, int]]) -> None:
        super().__init__(_normed_convolution(student, teacher, 1) for student, teacher in channels)

    def forward(self, student_maps: Sequence[Tensor]) -> list[Tensor]:
        """Return one prediction of the teacher's map [B, teacher's channels, H, W] per map."""
        return [regressor(maps) for regressor, maps in zip(self, student_maps, strict=True)]


class GaussianRegressors(nn.Module):
    """Per pair of maps the teacher's mean (three 1x1 convolutions) and one learned variance per channel (VID)."""

    initial_variance, least_variance = 5.0, 1e-5

    def __init__(self, channels: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.means = nn.ModuleList(_three_convolutions(student, teacher) for student, teacher in channels)
        start = math.log(math.expm1(self.initial_variance - self.least_variance))  # softplus of it is the variance
        self.scales = nn.ParameterList(nn.Parameter(torch.full((teacher,), start)) for _, teacher in channels)

    def forward(self, student_maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return (mean [B, channels, H, W], variance [channels, 1, 1]) of the teacher's maps, one per map."""
        return [
            (mean(maps), (F.softplus(scale) + self.least_variance)[:, None, None])
            for mean, scale, maps in zip(self.means, self.scales, student_maps, strict=True)
        ]


class ReviewFusion(nn.Module):
    """Fuses the student's maps from the deepest to the first, each with what came before it (ReviewKD's ABF)."""

    def __init__(self, channels: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        width = min(512, channels[-1][0])
        self.reduce = nn.ModuleList(_normed_convolution(student, width, 1) for student, _ in channels)
        self.attend = nn.ModuleList(nn.Conv2d(2 * width, 2, 1) for _ in channels[:-1])
        self.expand = nn.ModuleList(_normed_convolution(width, teacher, 3) for _, teacher in channels)

    def forward(self, student_maps: Sequence[Tensor], sizes: Sequence[torch.Size]) -> list[Tensor]:
        """Return one map [B, teacher's channels, *size] per map, early to late; ``sizes`` are the teacher's."""
        fused: list[Tensor] = []
        deeper: Tensor | None = None
        for stage in reversed(range(len(student_maps))):
            here = self.reduce[stage](student_maps[stage])
            if deeper is not None:
                deeper = enlarge(deeper, *here.shape[-2:])
                share = self.attend[stage](torch.cat([here, deeper], dim=1)).sigmoid()
                here = here * share[:, :1] + deeper * share[:, 1:]
            deeper = enlarge(here, *sizes[stage])
            fused.insert(0, self.expand[stage](deeper))
        return fused


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
        self._seed = torch.initial_seed() % 2**32
        self._batches = 0

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
        generator = torch.Generator(indices_B.device).manual_seed(self._seed + self._batches)
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
        self._batches += 1

    def get_extra_state(self) -> Tensor:
        """Return where the draws stand, to be saved with the parameters and banks; kept off the device."""
        return torch.tensor([self._seed, self._batches])

    def set_extra_state(self, state: Tensor) -> None:
        """Take back what ``get_extra_state`` returned."""
        self._seed, self._batches = state.tolist()


def fitnet(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> Regressors:
    """Return the regressors of the loss of this name."""
    pairs = paired(student_maps, teacher_maps, stages)
    return Regressors(_channels(pairs if stages else middle(pairs)))


def vid(
    student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], *, stages: Sequence[int] | None = None
) -> GaussianRegressors:
    """Return the regressors of the loss of this name."""
    return GaussianRegressors(_channels(paired(student_maps, teacher_maps, stages)))


def review(
    student_maps: Sequence[Tensor],
    teacher_preactivations: Sequence[Tensor],
    student_pooled_BD: Tensor,
    teacher_pooled_BD: Tensor,
    *,
    stages: Sequence[int] | None = None,
) -> ReviewFusion:
    """Return the fusion of the loss of this name."""
    pairs = paired(student_maps, teacher_preactivations, stages)
    return ReviewFusion(_channels([*pairs, (student_pooled_BD, teacher_pooled_BD)]))


def crd(student_pooled_BD: Tensor, teacher_pooled_BD: Tensor, labels_N: Tensor) -> ContrastiveMemory:
    """Return the memory of the loss of this name."""
    return ContrastiveMemory(student_pooled_BD.shape[1], teacher_pooled_BD.shape[1], labels_N.cpu())


BUILDERS: Mapping[str, Callable[..., nn.Module]] = {"crd": crd, "fitnet": fitnet, "review": review, "vid": vid}


def _channels(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[tuple[int, int]]:
    return [(student.shape[1], teacher.shape[1]) for student, teacher in pairs]


def _three_convolutions(student: int, teacher: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(student, teacher, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(teacher, teacher, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(teacher, teacher, 1, bias=False),
    )


def _normed_convolution(channels: int, out: int, size: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, size, padding=size // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(out))


def _moved(bank: Tensor, indices_B: Tensor, embeddings: Tensor, momentum: float) -> Tensor:
    """Return a new bank: the old one is still needed to differentiate by."""
    moved = momentum * bank[indices_B] + (1 - momentum) * embeddings
    return bank.index_copy(0, indices_B, unit(moved, dim=1))
