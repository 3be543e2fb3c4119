"""A network of another package that sees enlarged images: code of one's own, as a job file names it."""

from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor
from torch.nn import functional as F


class Enlarged(EfficientNet):
    """EfficientNet-Lite that first enlarges its images to 64 pixels a side."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits: Tensor = super().forward(F.interpolate(inputs, size=(64, 64), mode="bilinear", align_corners=False))
        return logits
