"""drawn.json: the small numbers of which a report draws what a model makes of validation images.

Bytes are pixels from 0 to 255, row by row, as base64 has them in JSON.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from kd.files import write_text
from kd.rundir.bounded_json import read_bounded_json
from kd.rundir.folders import StageFolder


class Embedding(Struct, frozen=True, kw_only=True):
    """The features of images in a plane, by t-SNE or UMAP, and the class of each image."""

    method: str
    points: list[tuple[float, float]]
    labels: list[str]


class Picture(Struct, frozen=True, kw_only=True):
    """A grey map or an image of three channels."""

    height: int
    width: int
    channels: int
    pixels: bytes


class LayerMaps(Struct, frozen=True, kw_only=True):
    """Of a layer, for each image: its attention, and its first maps."""

    layer: str
    attention: list[Picture]
    maps: list[list[Picture]]


class Drawn(Struct, frozen=True, kw_only=True):
    """What there is to draw of the job with this fingerprint; ``labels`` are the classes of ``images``."""

    fingerprint: str
    embedding: Embedding | None = None
    images: list[Picture] = []
    labels: list[str] = []
    layers: list[LayerMaps] = []


def read_drawn(folder: StageFolder, fingerprint: str) -> Drawn | None:
    """Return what there is to draw of a job, or None when there is no such file, or it is of another job."""
    try:
        found = read_bounded_json(folder.drawn, Drawn)
    except (OSError, ValueError):
        return None
    return found if found.fingerprint == fingerprint else None


def write_drawn(folder: StageFolder, drawn: Drawn) -> None:
    """Write drawn.json atomically."""
    write_text(folder.drawn, msgspec.json.encode(drawn).decode())
