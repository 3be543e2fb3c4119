"""The modules that some losses own and that are trained: what maps the student's features to the teacher's.

They are made by the functions of ``kd.losses.builders``, trained and checkpointed beside the student, and never
exported with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd.losses.draws import Draws
from kd.losses.maps import enlarge
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


class Connectors(Regressors):
    """The same before the activation, with the least value that a channel of the teacher's has on average below 0.

    ``margins`` are one [channels, 1, 1] per map: E[x | x < 0] of x distributed as the batch norm before the activation
    says, at least minus three deviations (OFD). They follow from the teacher and are not saved.
    """

    def __init__(self, channels: Sequence[tuple[int, int]], norms: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
        super().__init__(channels)
        for number, (scales, offsets) in enumerate(norms):
            margin = _mean_below_zero(scales, offsets)[:, None, None]
            self.register_buffer(f"margin{number}", margin, persistent=False)

    @property
    def margins(self) -> list[Tensor]:
        """The margins, one per map."""
        return [margin for name, margin in self.named_buffers() if name.startswith("margin")]


class MaskedGeneration(nn.Module):
    """Per pair of maps: blanks channels of the student's and generates the teacher's by two 3x3 convolutions (MGD)."""

    def __init__(self, channels: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.align = nn.ModuleList(
            nn.Conv2d(student, teacher, 1) if student != teacher else nn.Identity() for student, teacher in channels
        )
        self.generate = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(), nn.Conv2d(teacher, teacher, 3, padding=1)
            )
            for _, teacher in channels
        )
        self._draws = Draws()

    def forward(self, student_maps: Sequence[Tensor], blanked: float) -> list[Tensor]:
        """Return a generated map per map; each channel of each image is blanked with this probability."""
        aligned = [align(maps) for align, maps in zip(self.align, student_maps, strict=True)]
        masks = [self.mask(maps, blanked) for maps in aligned]
        self._draws.advance()
        return [generate(maps * mask) for generate, maps, mask in zip(self.generate, aligned, masks, strict=True)]

    def mask(self, maps: Tensor, blanked: float) -> Tensor:
        """Return [B, channels, 1, 1] of 1, and of 0 with the given probability; another one in every batch."""
        chance = torch.rand(maps.shape[:2], device=maps.device, generator=self._draws.generator(maps.device))
        return (chance >= blanked).to(maps.dtype)[:, :, None, None]

    def get_extra_state(self) -> Tensor:
        """Return where the draws stand, to be saved with the parameters."""
        return self._draws.state

    def set_extra_state(self, state: Tensor) -> None:
        """Take back what ``get_extra_state`` returned."""
        self._draws = Draws(state)


class Factors(nn.Module):
    """A paraphraser of the teacher's map and a translator of the student's, to factors of half the teacher's channels.

    The paraphraser's second half makes the map again: what it cannot make again is not in the factors (FT).
    """

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        factors = max(1, teacher // 2)
        self.paraphrase = _leaky_convolutions([teacher, teacher, factors, factors], norm=False)
        self.restore = _leaky_convolutions([factors, factors, teacher, teacher], norm=False)
        self.translate = _leaky_convolutions([student, student, factors, factors], norm=True)

    def forward(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the student's factors, the teacher's, and the teacher's map made again."""
        factors = self.paraphrase(teacher)
        return self.translate(student), factors, self.restore(factors)


class CrossLayer(nn.Module):
    """Which of the teacher's stages each of the student's learns, and a regressor for every pair of them (SemCKD).

    The choice is read off the similarities of a batch's images, so the number of images is fixed.
    """

    def __init__(self, students: Sequence[int], teachers: Sequence[int], images: int) -> None:
        super().__init__()
        self.images = images
        self.queries = nn.ModuleList(_embedding(images) for _ in students)
        self.keys = nn.ModuleList(_embedding(images) for _ in teachers)
        self.regressors = nn.ModuleList(
            nn.ModuleList(_three_normed(student, teacher) for teacher in teachers) for student in students
        )

    def shares(self, student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], softness: float) -> Tensor:
        """Return [B, student's stages, teacher's stages], each row of sum 1."""
        queries, keys = (
            torch.stack([unit(embed(_gram(maps)), dim=1) for embed, maps in zip(embeds, every, strict=True)], 1)
            for embeds, every in ((self.queries, student_maps), (self.keys, teacher_maps))
        )
        return (queries @ keys.transpose(1, 2) / softness).softmax(-1)


class LearnedTemperature(nn.Module):
    """One number, the same for all images, that is trained to make the loss larger (CTKD)."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.ones(()))

    def forward(self, harder: float) -> Tensor:
        """Return the number; its gradient is multiplied by ``-harder``."""
        fixed = self.number.detach()
        return fixed - harder * (self.number - fixed)


def _mean_below_zero(scales: Tensor, offsets: Tensor) -> Tensor:
    """Return E[x | x < 0] of normal x with these deviations and means; -3 deviations where x < 0 is rare (0.001)."""
    deviations = scales.double().abs().clamp_min(1e-12)
    ratio = offsets.double() / deviations
    below = torch.special.ndtr(-ratio)
    density = (-ratio.square() / 2).exp() / math.sqrt(2 * math.pi)
    mean = offsets.double() - deviations * density / below.clamp_min(1e-3)
    return torch.where(below > 1e-3, mean, -3 * deviations).to(scales.dtype)


def _leaky_convolutions(channels: Sequence[int], *, norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(channels):
        layers += [
            nn.Conv2d(before, after, 3, padding=1),
            *([nn.BatchNorm2d(after)] if norm else []),
            nn.LeakyReLU(0.1),
        ]
    return nn.Sequential(*layers)


def _embedding(images: int) -> nn.Sequential:
    width = max(1, images // 4)
    return nn.Sequential(nn.Linear(images, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))


def _gram(maps: Tensor) -> Tensor:
    flat = maps.flatten(1)
    return flat @ flat.T


def _three_normed(student: int, teacher: int) -> nn.Sequential:
    wide = 2 * teacher
    return nn.Sequential(
        nn.Conv2d(student, wide, 1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, wide, 3, padding=1, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(),
        nn.Conv2d(wide, teacher, 1, bias=False),
    )


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
