"""``python -m kd.drawing.feature_maps FOLDER``: draw where the model of a finished stage looks in validation images.

Writes ``feature_maps/<layer>-<image>.png`` to the stage's folder. Not part of a run: one looks at few.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from kd.drawing.finished_stage import open_finished_stage, some_images
from kd.drawing.layer_outputs import layer_outputs
from kd.drawing.map_grid import draw_maps
from kd.drawing.plane_maps import names_of
from kd.errors import run_command
from kd.rundir.folders import StageFolder


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, draw. Returns the exit code; raises UserError when there is no such stage or layer."""
    parser = argparse.ArgumentParser(prog="python -m kd.drawing.feature_maps", description=__doc__)
    parser.add_argument("folder", type=Path, help="a stage's folder, e.g. results/RUN/stages/teacher/seed-42")
    parser.add_argument("--layer", default="stage1", help="a feature tap or the path of a module; default: %(default)s")
    parser.add_argument("--images", type=some_images, default=5, help="default: %(default)s")
    parser.add_argument("--maps", type=int, default=16, help="of each image; default: %(default)s")
    given = parser.parse_args(words)
    for path in draw_feature_maps(StageFolder(given.folder), layer=given.layer, images=given.images, maps=given.maps):
        print(path)
    return 0


def draw_feature_maps(folder: StageFolder, *, layer: str, images: int, maps: int) -> list[Path]:
    """Draw the first validation images of a finished stage with a layer's maps, a file each, and return the files."""
    stage = open_finished_stage(folder)
    batches = list(stage.batches(images))
    maps_NCHW, labels = layer_outputs(stage.model, layer, batches)
    pixels_NCHW = torch.cat([images for images, _ in batches]).float()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (stage.card.mean, stage.card.std))
    paths = []
    for number, name in enumerate(names_of(labels, stage.card.classes)):
        path = folder.path / "feature_maps" / f"{layer}-{number}.png"
        title = f"{layer} of {stage.card.name}, validation image {number} ({name})"
        image_CHW = (pixels_NCHW[number] * std + mean).clamp(0, 1)
        draw_maps(image_CHW, maps_NCHW[number], title, path, most=maps)
        paths.append(path)
    return paths


if __name__ == "__main__":
    sys.exit(run_command(main))
