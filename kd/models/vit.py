"""Vision transformers (Dosovitskiy et al. 2021, arXiv:2010.11929): timm's VisionTransformer in sizes for distillation.

``patch`` is the side of a patch in pixels: 4 for images of up to 64 pixels and 16 above, unless given. Weights start as
timm's do: truncated normal of deviation 0.02, biases 0. ``pretrained``: true (timm's ImageNet weights in the Hugging
Face cache, for patches of 16) or a file; position embeddings and patches are resampled to this network's sizes.
``resize`` enlarges the images inside the network, so that they fit such weights. ``drop_path`` is the stochastic depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from kd.arguments import Fraction, PositiveInt
from kd.errors import SpecError
from kd.models.backbone import Backbone, Parts, Preactivation, enlarger
from kd.models.pretrained import start_from, timm_file
from kd.vision_libraries import import_vision

__all__ = ["vit6", "vit_small", "vit_tiny"]

STAGES = 4  # feature taps, spread evenly over the blocks


def vit_tiny(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    patch: PositiveInt | None = None,
    drop_path: Fraction = 0.0,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ViT-Tiny: 12 layers 192 wide, 3 heads (5.4 M parameters)."""
    model = ViT(num_classes, in_channels, image_size, width=192, heads=3, patch=patch, drop=drop_path, resize=resize)
    published = partial(timm_file, "vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=published)
    return model


def vit_small(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    patch: PositiveInt | None = None,
    drop_path: Fraction = 0.0,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
) -> nn.Module:
    """ViT-Small: 12 layers 384 wide, 6 heads (21.3 M parameters); the lab's "ViT-Tiny" where it says 384."""
    model = ViT(num_classes, in_channels, image_size, width=384, heads=6, patch=patch, drop=drop_path, resize=resize)
    published = partial(timm_file, "vit_small_patch16_224.augreg_in21k_ft_in1k")
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=published)
    return model


def vit6(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    patch: PositiveInt | None = None,
    drop_path: Fraction = 0.0,
) -> nn.Module:
    """ViT-6: 6 layers 192 wide, 3 heads, a small student (2.7 M parameters)."""
    return ViT(num_classes, in_channels, image_size, width=192, heads=3, depth=6, patch=patch, drop=drop_path)


class ViT(Backbone):
    """A timm VisionTransformer that gives its tokens as maps: ``stage1`` ... [B, width, rows, columns] and ``pooled``.

    ``pooled`` is the class token. Raises SpecError when the patches do not tile the images.
    """

    parts: Parts = Parts(
        first_convolution="network.patch_embed.proj", stem=("network.patch_embed",), classifier="network.head"
    )
    inner: ClassVar[str] = "network."

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        *,
        width: int,
        heads: int,
        depth: int = 12,
        patch: int | None = None,
        drop: float = 0.0,
        resize: int | None = None,
    ) -> None:
        super().__init__()
        self.enlarge = enlarger(image_size, resize)
        size = resize or image_size
        self.network = import_vision("timm.models.vision_transformer").VisionTransformer(
            img_size=size,
            patch_size=_patch(size, patch),
            in_chans=in_channels,
            num_classes=num_classes,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            drop_path_rate=drop,
        )
        self.stages = nn.ModuleList(nn.Identity() for _ in range(STAGES))  # what the taps hold on to
        self._ends = [-(-depth * number // STAGES) - 1 for number in range(1, STAGES + 1)]
        stages = {f"stage{number + 1}": f"stages.{number}" for number in range(STAGES)}
        self.feature_taps = {**stages, "pooled": "network.fc_norm"}
        self.preactivation_taps = {stage: Preactivation(tap) for stage, tap in stages.items()}  # blocks end in sums

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        tokens, maps = self.network.forward_intermediates(self.enlarge(images_BCHW), indices=self._ends)
        for stage, features in zip(self.stages, maps, strict=True):
            stage(features)
        logits_BC: Tensor = self.network.forward_head(tokens)
        return logits_BC

    def expose_attention(self) -> None:
        """Declare a tap ``attention1`` ... per block: weights [B, heads, tokens, tokens], the class token first.

        Attention is then computed step by step, which gives the same logits up to rounding, and more slowly.
        """
        for block in self.network.blocks:
            block.attn.fused_attn = False
        weights = {
            f"attention{number + 1}": f"network.blocks.{number}.attn.attn_drop"
            for number in range(len(self.network.blocks))
        }
        self.feature_taps = {**self.feature_taps, **weights}

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights of timm with patches and positions resampled to this network's."""
        fitted: Mapping[str, Any] = import_vision("timm.models.vision_transformer").checkpoint_filter_fn(
            dict(weights), self.network
        )
        return super().adopt(fitted)


def _patch(image_size: int, patch: int | None) -> int:
    patch = patch or (4 if image_size <= 64 else 16)
    if image_size % patch:
        raise SpecError([f"patch: patches of {patch} pixels do not tile an image of {image_size}"])
    return patch
