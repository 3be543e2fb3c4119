"""``python -m kd.stages.embeddings FOLDER``: draw what the model of a finished stage makes of validation images.

Writes ``embeddings/tsne.png`` or, asked for, ``umap.png`` to the stage's folder. Not part of a run: one looks at few.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from kd.data.store import DeviceStore
from kd.errors import RunError, run_command
from kd.evaluate.embeddings import METHODS, draw, names_of, pooled_features
from kd.rundir import StageFolder, read_object
from kd.stages.data import load_data
from kd.stages.outcome import BEST
from kd.train.weights import load_model

LARGEST = 1000  # images: more make no clearer map
BATCH = 64


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, draw. Returns the exit code; raises UserError when the folder or the data cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m kd.stages.embeddings", description=__doc__)
    parser.add_argument("folder", type=Path, help="a stage's folder, e.g. results/RUN/stages/teacher/seed-42")
    parser.add_argument("--method", choices=sorted(METHODS), default="tsne")
    parser.add_argument("--images", type=int, default=LARGEST, help="at most; default: %(default)s")
    given = parser.parse_args(words)
    print(draw_embeddings(StageFolder(given.folder), method=given.method, images=given.images))
    return 0


def draw_embeddings(folder: StageFolder, *, method: str, images: int) -> Path:
    """Draw the validation images of a finished stage, as its model sees them, and return the file."""
    spec = read_object(folder.spec)
    if spec is None or not (folder.path / BEST).is_file():
        raise RunError(f"{folder.path}: no stage that has trained a model")
    model, card = load_model(folder.path / BEST)
    data = load_data(
        spec["data"],
        {"crop": 0, "flip": False},
        staged=None,
        device=torch.device("cpu"),
        modalities=[name for name, _ in card.seen],
    )
    features_ND, labels = pooled_features(model, _batches(data.validation, images))
    points = METHODS[method](features_ND)
    path = folder.path / "embeddings" / f"{method}.png"
    title = f"{method} of {card.name}, {len(points)} validation images"
    draw(points, names_of(labels, card.classes), title, path)
    return path


def _batches(store: DeviceStore, images: int) -> Iterator[tuple[Tensor, Tensor]]:
    count = min(images, len(store))
    for first in range(0, count, BATCH):
        indices = torch.arange(first, min(first + BATCH, count))
        yield store.batch(indices), store.labels[indices]


if __name__ == "__main__":
    sys.exit(run_command(main))
