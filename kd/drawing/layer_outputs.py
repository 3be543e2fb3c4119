"""The outputs of one layer of a network for some images: for drawings, not for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from kd.errors import UserError, did_you_mean


def module_path(model: nn.Module, layer: str) -> str:
    """Return the path of the module that a layer is. Raises UserError, with the nearest name, when there is none."""
    taps: Mapping[str, str] = getattr(model, "feature_taps", {})
    modules = dict(model.named_modules())
    path = taps.get(layer, layer)
    if path not in modules or not path:
        raise UserError(f"no layer '{layer}'{did_you_mean(layer, [*taps, *modules])}; feature taps: {', '.join(taps)}")
    return path


@torch.inference_mode()
def layer_outputs(model: nn.Module, layer: str, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return a layer's outputs [N, ...], in float32, and the labels of the images, on the CPU.

    ``layer`` is a feature tap that the model declares (``stage3``, ``pooled``), or the path of any module
    (``layer4.0.conv1``). Raises UserError, with the nearest name, when the model has neither.
    """
    module = dict(model.named_modules())[module_path(model, layer)]
    kept: list[Tensor] = []
    labels: list[Tensor] = []
    hook = module.register_forward_hook(lambda module, given, output: kept.append(output.float().cpu()))
    model.eval()
    try:
        for images, of_images in batches:
            model(images)
            labels.append(of_images.cpu())
    finally:
        hook.remove()
    return torch.cat(kept), torch.cat(labels)
