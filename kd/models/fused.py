"""RGB+IR teachers: ResNet-152, EfficientNet-B7, ViT-B/16 and Swin-T, each cut in two where the modalities meet.

Images have RGB first, then 1 or 3 channels of IR. Each function is one row: which network, cut where, what is frozen.

``pretrained``: true (torchvision's ImageNet weights, IMAGENET1K_V1, in torch's cache) or a file of weights, both of the
RGB network; the IR branch starts from them too. ``freeze`` then keeps the early layers of both branches as published.
A network that starts from scratch has nothing worth keeping: nothing of it is frozen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kd.errors import SpecError
from kd.models.backbone import Parts, Preactivation
from kd.models.fusion import RGB, Cut, FusedModel, MapFusion, TokenFusion
from kd.models.pretrained import load_published, torchvision_file
from kd.models.resnet import resnet152
from kd.vision_libraries import import_vision

__all__ = ["fused_efficientnet_b7", "fused_resnet152", "fused_swin_t", "fused_vit_b16"]

PATCH = 16  # pixels a side, of ViT-B/16


def fused_resnet152(
    num_classes: int, in_channels: int, image_size: int, *, pretrained: bool | str = False, freeze: bool = True
) -> nn.Module:
    """RGB+IR ResNet-152, fused after layer3, with layer4 shared (103.4 M parameters)."""
    network: Any = resnet152(num_classes, RGB, image_size, stem="imagenet", pretrained=pretrained)
    cut = Cut(
        early=_children(network, "conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"),
        fusion=MapFusion(1024),
        late=_children(network, "layer4", "avgpool", "flatten"),
        classifier=network.fc,
        first_convolution="conv1",
        frozen_early=("conv1", "bn1", "layer1", "layer2"),
        taps={
            "stage1": "rgb.layer1",
            "stage2": "rgb.layer2",
            "stage3": "fusion",
            "stage4": "shared.layer4",
            "pooled": "shared.flatten",
        },
        preactivations={
            stage: Preactivation(f"{block}.preactivation", f"{block}.bn3")
            for stage, block in (("stage1", "rgb.layer1.2"), ("stage2", "rgb.layer2.7"), ("stage4", "shared.layer4.2"))
        },
        started_from=getattr(network, "started_from", None),
    )
    return FusedModel(cut, in_channels, frozen=bool(pretrained) and freeze)


def fused_efficientnet_b7(
    num_classes: int, in_channels: int, image_size: int, *, pretrained: bool | str = False, freeze: bool = True
) -> nn.Module:
    """RGB+IR EfficientNet-B7, fused after block 6, with the last convolution shared (126.8 M parameters).

    Blocks count from 0, as their authors' code does: torchvision's ``features.1`` to ``features.7``. Block 6 is the
    one of 640 channels; "block 7", which the modalities share, is the 1x1 convolution to 2560 channels behind it.
    """
    parts = Parts(first_convolution="features.0.0", stem=(), classifier="classifier.1")
    network = _torchvision("efficientnet_b7", num_classes, pretrained, parts)
    blocks = [(f"block{number}", network.features[number + 1]) for number in range(7)]
    cut = Cut(
        early=_named(("stem", network.features[0]), *blocks),
        fusion=MapFusion(640),
        late=_named(("head", network.features[8]), ("avgpool", network.avgpool), ("flatten", nn.Flatten())),
        classifier=nn.Sequential(nn.Dropout(0.5), network.classifier[1]),  # torchvision's, but not in place
        first_convolution="stem.0",
        frozen_early=("stem", *(f"block{number}" for number in range(5))),
        taps={
            "stage1": "rgb.block1",
            "stage2": "rgb.block2",
            "stage3": "rgb.block4",
            "stage4": "fusion",
            "pooled": "shared.flatten",
        },
        started_from=getattr(network, "started_from", None),
    )
    return FusedModel(cut, in_channels, frozen=bool(pretrained) and freeze)


def fused_vit_b16(
    num_classes: int, in_channels: int, image_size: int, *, pretrained: bool | str = False, freeze: bool = True
) -> nn.Module:
    """RGB+IR ViT-B/16: tokens of both modalities (394 at 224 pixels) through shared blocks (86.2 M parameters).

    Each modality has its own patch and position embeddings and its own class token; the classifier sees the mean of
    the two. Published positions are resampled to the images. Raises SpecError when patches of 16 pixels do not tile
    the images.
    """
    if image_size % PATCH:
        raise SpecError([f"fused_vit_b16: patches of {PATCH} pixels do not tile an image of {image_size}"])
    parts = Parts(first_convolution="conv_proj", stem=(), classifier="heads.head")
    adopt = partial(_resampled, image_size=image_size)
    network = _torchvision("vit_b_16", num_classes, pretrained, parts, adopt=adopt, image_size=image_size)
    layers, side = network.encoder.layers, image_size // PATCH
    stages = [(f"stage{number + 1}", Blocks(layers[3 * number : 3 * number + 3], side)) for number in range(4)]
    cut = Cut(
        early=_named(("embedding", Embedding(network))),
        fusion=TokenFusion(),
        late=_named(*stages, ("norm", network.encoder.ln), ("class_tokens", ClassTokens())),
        classifier=network.heads.head,
        first_convolution="embedding.patches",
        frozen_early=("embedding",),
        frozen_late=("stage1", "stage2"),
        taps={f"stage{number}": f"shared.stage{number}.maps" for number in range(1, 5)}
        | {"pooled": "shared.class_tokens"},
        started_from=getattr(network, "started_from", None),
    )
    return FusedModel(cut, in_channels, frozen=bool(pretrained) and freeze)


def fused_swin_t(
    num_classes: int, in_channels: int, image_size: int, *, pretrained: bool | str = False, freeze: bool = True
) -> nn.Module:
    """RGB+IR Swin-T, fused after stage 1, with stages 2 and 3 shared (28.8 M parameters).

    Stages count from 0: ``stage1`` here has 192 channels; the feature taps count from 1, as everywhere. Between stages
    maps are [B, C, H, W], so that the fusion is the same 1x1 convolution as elsewhere.
    """
    parts = Parts(first_convolution="features.0.0", stem=(), classifier="head")
    network = _torchvision("swin_t", num_classes, pretrained, parts)
    permute, features = import_vision("torchvision.ops.misc").Permute, network.features
    first, last = partial(permute, [0, 3, 1, 2]), partial(permute, [0, 2, 3, 1])  # where the channels go
    cut = Cut(
        early=_named(
            ("stage0", nn.Sequential(features[0], features[1], first())),
            ("stage1", nn.Sequential(last(), features[2], features[3], first())),
        ),
        fusion=MapFusion(192),
        late=_named(
            ("stage2", nn.Sequential(last(), features[4], features[5], first())),
            ("stage3", nn.Sequential(last(), features[6], features[7], network.norm, first())),
            ("avgpool", network.avgpool),
            ("flatten", network.flatten),
        ),
        classifier=network.head,
        first_convolution="stage0.0.0",
        frozen_early=("stage0", "stage1"),
        taps={
            "stage1": "rgb.stage0",
            "stage2": "fusion",
            "stage3": "shared.stage2",
            "stage4": "shared.stage3",
            "pooled": "shared.flatten",
        },
        started_from=getattr(network, "started_from", None),
    )
    return FusedModel(cut, in_channels, frozen=bool(pretrained) and freeze)


class Embedding(nn.Module):
    """The patches of a ViT with its class token and positions: images [B, C, H, W] -> tokens [B, 1 + N, width]."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.patches = network.conv_proj
        self.class_token = network.class_token
        self.positions = network.encoder.pos_embedding

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the class token and one token per patch."""
        patches_BND = self.patches(images_BCHW).flatten(2).transpose(1, 2)
        class_token_BND = self.class_token.expand(len(patches_BND), -1, -1)
        tokens_BND: Tensor = torch.cat([class_token_BND, patches_BND], dim=1) + self.positions
        return tokens_BND


class Blocks(nn.Module):
    """Transformer blocks over the tokens of both modalities; ``maps`` shows those of RGB to who taps it."""

    def __init__(self, layers: nn.Sequential, side: int) -> None:
        super().__init__()
        self.layers = layers
        self.maps = TokenMaps(side)

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Return the tokens after these blocks."""
        tokens_BND = self.layers(tokens_BND)
        self.maps(tokens_BND)
        return tokens_BND


class TokenMaps(nn.Module):
    """The patches of RGB as maps: tokens [B, 2 (1 + N), width] -> [B, width, side, side], without a copy."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Return the maps."""
        patches_BDN = tokens_BND[:, 1 : 1 + self.side**2].transpose(1, 2)
        return patches_BDN.view(*patches_BDN.shape[:2], self.side, self.side)


class ClassTokens(nn.Module):
    """The mean of both modalities' class tokens: [B, 2 (1 + N), width] -> [B, width]."""

    def forward(self, tokens_BND: Tensor) -> Tensor:
        """Return what the classifier sees."""
        return (tokens_BND[:, 0] + tokens_BND[:, tokens_BND.shape[1] // 2]) / 2


def _torchvision(
    name: str,
    num_classes: int,
    pretrained: bool | str,
    parts: Parts,
    *,
    adopt: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None,
    **arguments: Any,
) -> Any:
    """Return a network of torchvision for RGB images, with published weights where asked for."""
    models = import_vision("torchvision.models")
    network = models.get_model(name, num_classes=num_classes, **arguments)
    nn.init.trunc_normal_(network.get_submodule(parts.classifier).weight, std=0.02)  # a ViT's is 0, which trains late
    if pretrained:
        weights = f"{models.get_model_weights(name).__name__}.IMAGENET1K_V1"
        published = partial(torchvision_file, weights)
        load_published(network, pretrained, parts=parts, published=published, adopt=adopt)
    return network


def _resampled(weights: Mapping[str, Tensor], *, image_size: int) -> dict[str, Tensor]:
    """Return a ViT's weights with its position embeddings resampled to the images."""
    if "encoder.pos_embedding" not in weights:
        return dict(weights)
    resample = import_vision("torchvision.models.vision_transformer").interpolate_embeddings
    return dict(resample(image_size, PATCH, dict(weights)))


def _children(network: nn.Module, *names: str) -> nn.Sequential:
    return _named(*((name, network.get_submodule(name)) for name in names))


def _named(*children: tuple[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(children))
