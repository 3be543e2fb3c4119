"""What the networks share that can start from published weights: named parts, and freezing all but some of them.

Also how convolutions start in networks that are trained from scratch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kd.errors import SpecError

Stem = Literal["cifar", "imagenet"]  # what the first layers expect: images of 32 pixels, or of 224


class Parts(NamedTuple):
    """Paths of a network's parts. ``stem`` is what to train anew where the first convolution had to be adapted."""

    first_convolution: str
    stem: tuple[str, ...]
    classifier: str


class Preactivation(NamedTuple):
    """Where a stage's map is before the activation: the path of the module whose output it is.

    ``norm`` is the last batch norm before it, whose scales and offsets tell how the values are distributed.
    """

    tap: str
    norm: str | None = None


class Backbone(nn.Module):
    """A network that can start from published weights. Frozen parts stay as they are.

    ``inner`` stands before the names of a network of another library, inside this one. ``started_from`` tells which
    weights were loaded.
    """

    feature_taps: Mapping[str, str]
    parts: Parts
    inner: ClassVar[str] = ""
    started_from: Mapping[str, object] | None = None

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return published weights under this network's own names and, where that can be done, in its own sizes."""
        return {f"{self.inner}{name}": value for name, value in weights.items()}

    def freeze(self, *, but: Sequence[str]) -> None:
        """Give no gradient to any parameter outside the parts ``but``, and keep the statistics of their batch norms."""
        kept = tuple(f"{part}." for part in but)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(kept))
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Set training mode; batch norms whose weights are frozen stay in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not module.weight.requires_grad:
                module.eval()
        return self


def enlarger(image_size: int, resize: int | None) -> nn.Module:
    """Return what enlarges images to ``resize`` pixels a side (bilinear), or does nothing where that is None.

    Raises SpecError when the images are larger than that.
    """
    if resize is None:
        return nn.Identity()
    if resize < image_size:
        raise SpecError([f"resize: {resize} pixels are fewer than the images have ({image_size}); it only enlarges"])
    return nn.Upsample(size=(resize, resize), mode="bilinear", align_corners=False)


def initialise_convolutions(model: nn.Module) -> None:
    """He initialisation of the convolutions (arXiv:1502.01852), biases 0; other layers keep torch's own."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
