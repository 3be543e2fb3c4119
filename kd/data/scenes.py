"""Rendered outdoor scenes as an RGB camera and an infrared camera would see them. Synthetic: nothing here is a photo.

Infrared tells what RGB cannot: fire behind smoke (infrared passes smoke), fire from merely orange things (these are
cold), smoke from fog (infrared passes smoke, not fog). It does not tell all: a running engine is as hot as fire, and
only RGB shows that it is none. Pictures are float arrays [H, W] from 0 to 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float64]
Place = tuple[float, float]

# what may be in a scene, and how often it is
PRESENCE = {"fire": 0.5, "smoke": 0.5, "fog": 0.35, "tarp": 0.4, "engine": 0.4}
_ORANGE, _YELLOW, _GREY = (0.95, 0.45, 0.12), (1.0, 0.85, 0.35), (0.62, 0.62, 0.64)
_NOISE = 0.04  # standard deviation of either camera's noise


def render_scene(number: int, *, size: int, seed: int) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """Return scene ``number`` as uint8 [size, size, 4] (red, green, blue, infrared), and 0 or 1 for what is in it.

    A function of its arguments alone: it does not depend on how many scenes are made.
    """
    chance = np.random.default_rng([seed, number])
    present = {name: int(chance.random() < often) for name, often in PRESENCE.items()}
    rgb, heat = _background(chance, size)
    source = _place(chance)  # of the fire and of the smoke, so that smoke hides fire
    if present["tarp"]:
        _paint(rgb, _patch(chance, size, _place(chance), ragged=0.1), _ORANGE)
    if present["engine"]:
        shape = _patch(chance, size, _place(chance), ragged=0.0)
        _paint(rgb, shape, (0.25, 0.25, 0.28))
        heat += shape * (chance.uniform(0.75, 1.0) - heat)
    if present["fire"]:
        _burn(chance, rgb, heat, size, source)
    if present["smoke"]:
        plume = _plume(chance, size, source)
        _paint(rgb, plume, _GREY)
        heat += plume * 0.1 * (0.45 - heat)
    if present["fog"]:
        bank = _bank(chance, size)
        _paint(rgb, bank, _GREY)
        heat += bank * 0.9 * (0.2 - heat)
    picture = np.dstack([rgb, heat]) + _NOISE * chance.standard_normal((size, size, 4))
    return (picture.clip(0, 1) * 255).round().astype(np.uint8), present


def _background(chance: np.random.Generator, size: int) -> tuple[Picture, Picture]:
    """Return ground and sky [H, W, 3], and their heat [H, W]: cool, a little uneven."""
    ground = np.array([0.25, 0.38, 0.2]) * chance.uniform(0.7, 1.3, 3)
    sky = np.array([0.55, 0.65, 0.8]) * chance.uniform(0.8, 1.1, 3)
    horizon = np.linspace(0, 1, size)[:, None, None] > chance.uniform(0.2, 0.5)
    shade = 0.8 + 0.4 * _noise(chance, size, 8)[:, :, None]
    heat = chance.uniform(0.15, 0.35) + 0.15 * _noise(chance, size, 6)
    return np.where(horizon, ground, sky) * shade, heat


def _burn(chance: np.random.Generator, rgb: Picture, heat: Picture, size: int, place: Place) -> None:
    """Set something on fire: ragged, orange, yellow where it is hottest."""
    flame = _patch(chance, size, place, ragged=0.9)
    core = (flame * (0.4 + 0.6 * _noise(chance, size, 8))).clip(0, 1)
    _paint(rgb, flame, _ORANGE)
    _paint(rgb, core**2, _YELLOW)
    heat += flame * (chance.uniform(0.75, 1.0) - heat)


def _place(chance: np.random.Generator) -> Place:
    """Return a place on the ground: row and column, from 0 to 1."""
    return chance.uniform(0.45, 0.85), chance.uniform(0.15, 0.85)


def _patch(chance: np.random.Generator, size: int, place: Place, *, ragged: float) -> Picture:
    """Return a blob that covers some of the ground, with a soft edge that noise makes ``ragged``."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    row, column = place
    height, width = chance.uniform(0.06, 0.16, 2)
    distance = np.hypot((rows - row) / height, (columns - column) / width)
    cover: Picture = (3 * (1 + ragged * (2 * _noise(chance, size, 12) - 1) - distance)).clip(0, 1)
    return cover


def _plume(chance: np.random.Generator, size: int, source: Place) -> Picture:
    """Return how much of each pixel the smoke hides that rises from a place, or from a little below, and widens."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    foot = source[0] + chance.uniform(0.0, 0.2)
    spread = 0.14 + 0.5 * (foot - rows).clip(0, 1)
    return _cloud(chance, np.exp(-(((columns - source[1]) / spread) ** 2)) * (rows < foot))


def _bank(chance: np.random.Generator, size: int) -> Picture:
    """Return how much of each pixel a bank of fog hides, wider than a plume."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    spread, middle = chance.uniform(0.4, 0.9), chance.uniform(0.15, 0.85)
    return _cloud(chance, np.exp(-(((columns - middle) / spread) ** 2)) * (rows < chance.uniform(0.6, 1.0)))


def _cloud(chance: np.random.Generator, shape: Picture) -> Picture:
    cover: Picture = (shape * (0.6 + _noise(chance, len(shape), 5)) * chance.uniform(0.8, 1.3)).clip(0, 0.97)
    return cover


def _paint(rgb: Picture, cover: Picture, colour: tuple[float, float, float]) -> None:
    rgb += cover[:, :, None] * (np.array(colour) - rgb)


def _noise(chance: np.random.Generator, size: int, cells: int) -> Picture:
    """Return smooth noise from 0 to 1: random values on a coarse grid, interpolated."""
    weights = _interpolation(size, cells)
    return weights @ chance.random((cells, cells)) @ weights.T


@lru_cache(maxsize=32)
def _interpolation(size: int, cells: int) -> Picture:
    """Return the matrix [size, cells] that interpolates ``cells`` values linearly."""
    places = np.linspace(0, cells - 1, size)
    return (1 - np.abs(places[:, None] - np.arange(cells)[None])).clip(0, None)
