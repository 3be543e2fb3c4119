"""``python -m kd.drawing.drawn_images FOLDER``: what a report draws of a stage that finished without ``draw``.

A stage with ``draw`` does this at its end. The numbers go to drawn.json in its folder, and kd-collect draws them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from kd.data.store import DeviceStore
from kd.drawing.layer_outputs import layer_outputs, module_path
from kd.drawing.map_grid import attention, require_maps
from kd.drawing.plane_maps import METHODS, names_of, require_method
from kd.errors import run_command
from kd.rundir.drawn_file import Drawn, Embedding, LayerMaps, Picture, write_drawn
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import Draw
from kd.train.weights import ModelCard

POOLED = "pooled"  # the features in front of the classifier
IMAGES, MAPS = 4, 6  # that are kept of a layer
BATCH = 64


def require_drawable(model: nn.Module, images: DeviceStore, draw: Draw | None) -> None:
    """Raise UserError, before a long training, when a layer is not there or has no maps, or UMAP is not installed."""
    if draw is None:
        return
    if draw.embeddings:
        module_path(model, POOLED)
        require_method(draw.method)
    for layer in draw.feature_maps:
        outputs, _ = layer_outputs(model, layer, batches(images, 1))
        require_maps(outputs[0], layer)


def write_what_is_drawn(
    folder: StageFolder, fingerprint: str, model: nn.Module, card: ModelCard, images: DeviceStore, draw: Draw | None
) -> None:
    """Write drawn.json of a model and the first of the validation images; nothing where nothing is asked for."""
    if draw is None:
        return
    embedding = _embedding(model, card, images, draw) if draw.embeddings else None
    layers = [_layer_maps(model, layer, images) for layer in draw.feature_maps]
    pixels, labels = _pictures(card, images) if layers else ([], [])
    found = Drawn(fingerprint=fingerprint, embedding=embedding, images=pixels, labels=labels, layers=layers)
    write_drawn(folder, found)


def batches(store: DeviceStore, images: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield (images, labels) of the first ``images`` of a store, in their order."""
    count = min(images, len(store))
    for first in range(0, count, BATCH):
        indices = torch.arange(first, min(first + BATCH, count), device=store.labels.device)
        yield store.batch(indices), store.labels[indices]


def _embedding(model: nn.Module, card: ModelCard, images: DeviceStore, draw: Draw) -> Embedding:
    features, labels = layer_outputs(model, POOLED, batches(images, draw.embeddings))
    points = METHODS[draw.method](features.flatten(1))
    rounded = [(round(float(x), 3), round(float(y), 3)) for x, y in points]
    return Embedding(method=draw.method, points=rounded, labels=names_of(labels, card.classes))


def _layer_maps(model: nn.Module, layer: str, images: DeviceStore) -> LayerMaps:
    maps_NCHW, _ = layer_outputs(model, layer, batches(images, IMAGES))
    return LayerMaps(
        layer=layer,
        attention=[_picture(attention(maps_CHW, maps_CHW.shape[-2:])[None]) for maps_CHW in maps_NCHW],
        maps=[[_picture(_stretched(map_HW)[None]) for map_HW in maps_CHW[:MAPS]] for maps_CHW in maps_NCHW],
    )


def _pictures(card: ModelCard, images: DeviceStore) -> tuple[list[Picture], list[str]]:
    """Return the first images as a person sees them (three channels or one), and their classes."""
    ((pixels_NCHW, labels),) = batches(images, IMAGES)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (card.mean, card.std))
    shown = (pixels_NCHW.float().cpu() * std + mean).clamp(0, 1)
    shown = shown[:, :3] if shown.shape[1] >= 3 else shown[:, :1]
    return [_picture(image_CHW) for image_CHW in shown], names_of(labels.cpu(), card.classes)


def _stretched(map_HW: Tensor) -> Tensor:
    """Return a map from 0 to 1."""
    span = (map_HW.max() - map_HW.min()).clamp_min(1e-12)
    return (map_HW - map_HW.min()) / span


def _picture(image_CHW: Tensor) -> Picture:
    channels, height, width = image_CHW.shape
    pixels = (255 * image_CHW).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    return Picture(height=height, width=width, channels=channels, pixels=pixels.numpy().tobytes())


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, write drawn.json. Returns the exit code; raises UserError when a folder cannot be used."""
    from kd.drawing.finished_stage import open_finished_stage, some_images
    from kd.rundir.stage_spec import read_spec

    parser = argparse.ArgumentParser(prog="python -m kd.drawing.drawn_images", description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="stages' folders: results/RUN/stages/*/seed-42")
    parser.add_argument("--embeddings", type=some_images, default=0, help="images in a plane; default: none")
    parser.add_argument("--method", choices=sorted(METHODS), default="tsne")
    parser.add_argument("--feature-maps", nargs="+", default=[], metavar="LAYER", help="e.g. stage3")
    given = parser.parse_args(words)
    draw = Draw(embeddings=given.embeddings, method=given.method, feature_maps=tuple(given.feature_maps))
    for folder in map(StageFolder, given.folders):
        stage = open_finished_stage(folder)
        require_drawable(stage.model, stage.validation, draw)
        fingerprint = read_spec(folder).fingerprint
        write_what_is_drawn(folder, fingerprint, stage.model, stage.card, stage.validation, draw)
        print(folder.drawn)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
