"""Two modalities in one network: a branch for RGB, one for IR, a fusion, and a part that both share.

Written once over any network that can be cut in two: a ``Cut`` says what comes before the meeting point and what after
it. The networks themselves, and where each is cut, are in ``kd.models.fused``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kd.errors import SpecError
from kd.models.backbone import Backbone, Preactivation
from kd.models.trained_weights import adapted

RGB = 3  # the first channels of an image; the rest are IR


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Cut:
    """A network of one modality, cut where two are to meet.

    ``early`` maps images to what is fused, ``fusion`` two of these to one, ``late`` that to features [B, width], which
    ``classifier`` takes. ``first_convolution`` is a path in ``early``. ``frozen_early`` and ``frozen_late`` name the
    children that keep published weights. ``taps`` are paths in the ``FusedModel``; so are ``preactivations``, of the
    stages that end in an activation. ``started_from`` tells which weights were loaded.
    """

    early: nn.Sequential
    fusion: nn.Module
    late: nn.Sequential
    classifier: nn.Module
    first_convolution: str
    frozen_early: tuple[str, ...]
    frozen_late: tuple[str, ...] = ()
    taps: Mapping[str, str]
    preactivations: Mapping[str, Preactivation] = field(default_factory=dict)
    started_from: Mapping[str, object] | None = None


class FusedModel(Backbone):
    """RGB and IR through their own early layers, fused, then through shared ones: [B, 3 + IR, H, W] -> [B, classes].

    The IR branch begins as a copy of the RGB branch. Its first convolution is the sum over the colours, so that IR
    gives what it would give as a grey RGB image. Taps before the fusion are those of the RGB branch. ``frozen`` keeps
    the weights, and the statistics of batch norms, of what the cut names. Raises SpecError without IR channels.
    """

    def __init__(self, cut: Cut, in_channels: int, *, frozen: bool) -> None:
        super().__init__()
        if in_channels <= RGB:
            raise SpecError([f"a fused model sees RGB and IR, 4 channels or more; these images have {in_channels}"])
        self.rgb = cut.early
        self.ir = _for_channels(copy.deepcopy(cut.early), cut.first_convolution, in_channels - RGB)
        self.fusion = cut.fusion
        self.shared = cut.late
        self.classifier = cut.classifier
        self.feature_taps = cut.taps
        stages = {name: Preactivation(path) for name, path in cut.taps.items() if name != "pooled"}
        self.preactivation_taps = {**stages, **cut.preactivations}
        self.started_from = cut.started_from
        if frozen:
            self._freeze(cut)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        rgb, ir = images_BCHW[:, :RGB], images_BCHW[:, RGB:]
        logits_BC: Tensor = self.classifier(self.shared(self.fusion(self.rgb(rgb), self.ir(ir))))
        return logits_BC

    def _freeze(self, cut: Cut) -> None:
        early = [branch.get_submodule(name) for branch in (self.rgb, self.ir) for name in cut.frozen_early]
        for part in [*early, *(self.shared.get_submodule(name) for name in cut.frozen_late)]:
            part.requires_grad_(False)
        self.train(self.training)


class MapFusion(nn.Module):
    """Maps [B, C, H, W] of both modalities, concatenated, through a 1x1 convolution 2C -> C.

    It starts as their average: published layers that follow then see maps of the kind that they know.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2 * channels, channels, 1)
        half = torch.eye(channels) / 2
        self.convolution.weight = nn.Parameter(torch.cat([half, half], dim=1)[:, :, None, None])
        self.convolution.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, rgb_BCHW: Tensor, ir_BCHW: Tensor) -> Tensor:
        """Return maps of one modality's shape."""
        maps_BCHW: Tensor = self.convolution(torch.cat([rgb_BCHW, ir_BCHW], dim=1))
        return maps_BCHW


class TokenFusion(nn.Module):
    """Tokens [B, N, C] of both modalities, one after the other: [B, 2N, C]."""

    def forward(self, rgb_BNC: Tensor, ir_BNC: Tensor) -> Tensor:
        """Return all tokens, those of RGB first."""
        return torch.cat([rgb_BNC, ir_BNC], dim=1)


def _for_channels(branch: nn.Sequential, first_convolution: str, channels: int) -> nn.Sequential:
    """Return a branch for images of so many channels; its first convolution is adapted in place."""
    convolution = branch.get_submodule(first_convolution)
    assert isinstance(convolution, nn.Conv2d)
    kernel = convolution.weight.detach()
    convolution.in_channels = channels
    convolution.weight = nn.Parameter(adapted(kernel, channels=channels, size=kernel.shape[-1]).clone())
    return branch
