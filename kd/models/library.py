"""Any network of timm or torchvision, for images of any size, with feature taps and published weights.

Names and arguments are read by ``kd.library_networks``. What the library's constructor takes is passed on as it is; it
alone can judge it, and its objection becomes one line. Taps: ``stage1`` ... are maps [B, C, H, W] of four stages at
most, ``pooled`` is what the classifier sees.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.arguments import PositiveInt
from kd.errors import SpecError
from kd.models.backbone import Backbone, Parts, enlarger
from kd.models.pretrained import start_from, timm_file, torchvision_file
from kd.models.stages import Stage, find_stages, spread
from kd.models.trained_weights import find_parts
from kd.vision_libraries import import_vision

# What a constructor raises when it is given what it cannot use. Anything else is a bug.
_OBJECTIONS = (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)
# Two networks have further classifiers for training, and give their logits too; one row of logits is what is trained.
_WITHOUT_HELPERS: Mapping[str, Mapping[str, object]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def timm_network(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    network: str,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
    **arguments: Any,
) -> nn.Module:
    """A network of timm by its name.

    ``resize`` enlarges the images inside the network, ``pretrained`` is a file of weights, or true for timm's in the
    Hugging Face cache, and ``freeze_backbone`` trains the classifier alone. Raises SpecError when timm cannot build it.
    """
    timm, side = import_vision("timm"), resize or image_size
    make = partial(timm.create_model, network, num_classes=num_classes, in_chans=in_channels, **arguments)
    sized = _takes_size(timm, network)
    built = _built(f"timm/{network}", (lambda: make(img_size=side)) if sized else make, in_channels, side)
    model = TimmNetwork(built, num_classes, enlarger(image_size, resize), in_channels, side)
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=partial(timm_file, network))
    return model


def torchvision_network(
    num_classes: int,
    in_channels: int,
    image_size: int,
    *,
    network: str,
    resize: PositiveInt | None = None,
    pretrained: bool | str = False,
    freeze_backbone: bool = False,
    **arguments: Any,
) -> nn.Module:
    """A network of torchvision by its name.

    The arguments are those of ``timm_network``; true means the library's default weights in torch's cache. The first
    convolution is made for other channels than three. Raises SpecError when torchvision cannot build it.
    """
    models, side = import_vision("torchvision.models"), resize or image_size
    arguments = {**_WITHOUT_HELPERS.get(network, {}), **arguments}
    make = partial(models.get_model, network, num_classes=num_classes, **arguments)
    sized = network.startswith("vit_")
    make = partial(make, image_size=side) if sized else make
    built = _built(f"torchvision/{network}", lambda: _for_channels(make(), in_channels), in_channels, side)
    model = LibraryNetwork(built, num_classes, enlarger(image_size, resize), in_channels, side)
    published = partial(_default_file, models, network)
    start_from(model, pretrained, freeze_backbone=freeze_backbone, published=published)
    return model


class LibraryNetwork(Backbone):
    """A network of a library, whose own names stand behind ``network.``. ``[B, C, H, W] -> [B, classes]``.

    Its stages are found by watching which modules change the size of the maps (see ``kd.models.stages``).
    """

    inner = "network."

    def __init__(self, network: nn.Module, classes: int, enlarge: nn.Module, channels: int, side: int) -> None:
        super().__init__()
        self.enlarge = enlarge
        self.network = network
        found = self._find_parts(classes)
        inside = [f"{self.inner}{path}" if path else "" for path in (found.first_convolution, found.classifier)]
        self.parts = Parts(first_convolution=inside[0], stem=(inside[0],) if inside[0] else (), classifier=inside[1])
        self.stages = nn.ModuleList()
        self.pooled = Pooled()
        self.feature_taps = {}
        self._declare_taps(torch.zeros(1, channels, side, side))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        logits_BC: Tensor = self.network(self.enlarge(images_BCHW))
        return logits_BC

    def _find_parts(self, classes: int) -> Parts:
        return find_parts(self.network, classes)

    def _declare_taps(self, images_BCHW: Tensor) -> None:
        stages = find_stages(self.network, images_BCHW)
        for number, stage in enumerate(stages, start=1):
            self.stages.append(_Shown(stage))
            _show(self.network.get_submodule(stage.path), self.stages[-1])
            self.feature_taps = {**self.feature_taps, f"stage{number}": f"stages.{number - 1}"}
        self._declare_pooled()

    def _declare_pooled(self) -> None:
        if self.parts.classifier:
            self.get_submodule(self.parts.classifier).register_forward_pre_hook(partial(_show_input, self.pooled))
            self.feature_taps = {**self.feature_taps, "pooled": "pooled"}


class TimmNetwork(LibraryNetwork):
    """A network of timm. Its stages are those of its ``forward_intermediates``, which gives every family's as maps.

    That path is taken only where somebody looks at them.
    """

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits [B, classes]."""
        if not self._ends or not any(stage._forward_hooks for stage in self.stages):
            return super().forward(images_BCHW)
        network: Any = self.network
        features, maps = network.forward_intermediates(self.enlarge(images_BCHW), indices=self._ends)
        for stage, features_BCHW in zip(self.stages, maps, strict=True):
            stage(features_BCHW)
        logits_BC: Tensor = network.forward_head(features)
        return logits_BC

    def adopt(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights under the names and in the sizes of this network, by timm's own conversion of this family."""
        convert: Callable[..., Mapping[str, Tensor]] | None = getattr(
            sys.modules[type(self.network).__module__], "checkpoint_filter_fn", None
        )
        return super().adopt(convert(dict(weights), self.network) if convert else weights)

    def _find_parts(self, classes: int) -> Parts:
        """Return the parts that timm's description of the network names, or find them."""
        found, described = find_parts(self.network, classes), getattr(self.network, "pretrained_cfg", {})
        first, last = described.get("first_conv"), described.get("classifier")
        return Parts(
            first_convolution=first if isinstance(first, str) else found.first_convolution,
            stem=(),
            classifier=last if isinstance(last, str) else found.classifier,
        )

    def _declare_taps(self, images_BCHW: Tensor) -> None:
        self._ends = _ends(self.network) if hasattr(self.network, "forward_intermediates") else []
        if not self._ends:
            super()._declare_taps(images_BCHW)
            return
        self.stages.extend(nn.Identity() for _ in self._ends)
        self.feature_taps = {f"stage{number + 1}": f"stages.{number}" for number in range(len(self._ends))}
        self._declare_pooled()


class Pooled(nn.Module):
    """What a classifier sees as features [B, D]; of a classifier that is a convolution the mean over positions."""

    def forward(self, features: Tensor) -> Tensor:
        """Return features [B, D]."""
        return features.mean((2, 3)) if features.ndim == 4 else features


class _Shown(nn.Module):
    """A stage's output as a map [B, C, H, W]."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.channels_last = stage.channels_last

    def forward(self, features: Tensor) -> Tensor:
        """Return the map, or tokens as they are."""
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def _show(module: nn.Module, tap: nn.Module) -> None:
    """Pass a module's outputs through a tap too. A partial, unlike a closure, is copied along with the network."""
    module.register_forward_hook(partial(_show_output, tap))


def _show_output(tap: nn.Module, module: nn.Module, given: Any, output: Tensor) -> None:
    tap(output)


def _show_input(tap: nn.Module, module: nn.Module, given: tuple[Tensor, ...]) -> None:
    tap(given[0])


def _ends(network: Any) -> list[int]:
    """Return which of timm's intermediate features end a stage: the last ones, or, all of one size, evenly spread."""
    described = getattr(network, "feature_info", [])
    reductions = [each["reduction"] for each in (described if isinstance(described, list) else described.get_dicts())]
    return spread(reductions)


def _built(name: str, make: Callable[[], nn.Module], channels: int, side: int) -> nn.Module:
    """Return the network, tried on one image of its size. Raises SpecError with what the library objects to."""
    try:
        network = make()
        training = network.training
        with torch.no_grad():
            logits = network.eval()(torch.zeros(1, channels, side, side))
        network.train(training)
    except _OBJECTIONS as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise SpecError([f"{name} cannot be built for {channels}x{side}x{side} images: {said:.200}"]) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise SpecError(
            [f"{name} gives {type(logits).__name__} and not one row of logits per image; it cannot be used"]
        )
    return network


def _takes_size(timm: Any, network: str) -> bool:
    """Whether a network is built for one size of images, which timm calls fixed."""
    from kd.library_networks import find_network

    found = find_network("timm", network)
    return found is not None and "img_size" in found.signature.supplied


def _for_channels(network: nn.Module, channels: int) -> nn.Module:
    """Replace the first convolution, in place, where the images have other channels than it expects."""
    path = find_parts(network).first_convolution
    first = network.get_submodule(path)
    assert isinstance(first, nn.Conv2d)
    if first.in_channels == channels:
        return network
    replaced = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, replaced)
    return network


def _default_file(models: Any, network: str) -> Path:
    """Return the file of torchvision's default weights of a network in torch's cache."""
    weights = models.get_model_weights(network).DEFAULT
    return torchvision_file(f"{type(weights).__name__}.{weights.name}")
