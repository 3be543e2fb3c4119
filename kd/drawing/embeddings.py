"""``python -m kd.drawing.embeddings FOLDER``: draw what the model of a finished stage makes of validation images.

Writes ``embeddings/tsne.png`` or, asked for, ``umap.png`` to the stage's folder. Not part of a run: one looks at few.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from kd.drawing.finished_stage import open_finished_stage, some_images
from kd.drawing.layer_outputs import layer_outputs
from kd.drawing.plane_maps import METHODS, draw, names_of
from kd.errors import run_command
from kd.rundir.folders import StageFolder

LARGEST = 1000  # images: more make no clearer map


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, draw. Returns the exit code; raises UserError when the folder or the data cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m kd.drawing.embeddings", description=__doc__)
    parser.add_argument("folder", type=Path, help="a stage's folder, e.g. results/RUN/stages/teacher/seed-42")
    parser.add_argument("--method", choices=sorted(METHODS), default="tsne")
    parser.add_argument("--images", type=some_images, default=LARGEST, help="at most; default: %(default)s")
    given = parser.parse_args(words)
    print(draw_embeddings(StageFolder(given.folder), method=given.method, images=given.images))
    return 0


def draw_embeddings(folder: StageFolder, *, method: str, images: int) -> Path:
    """Draw the validation images of a finished stage, as its model sees them, and return the file."""
    stage = open_finished_stage(folder)
    features_ND, labels = layer_outputs(stage.model, "pooled", stage.batches(images))
    points = METHODS[method](features_ND)
    path = folder.path / "embeddings" / f"{method}.png"
    title = f"{method} of {stage.card.name}, {len(points)} validation images"
    draw(points, names_of(labels, stage.card.classes), title, path)
    return path


if __name__ == "__main__":
    sys.exit(run_command(main))
