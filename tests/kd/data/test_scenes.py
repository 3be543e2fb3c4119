"""Rendered scenes: reproducible, and infrared tells what it is said to tell."""

from __future__ import annotations

import numpy as np
import pytest

from kd.data.scenes import render_scene
from kd.data.sources.synthetic_rgb_ir import synthetic_rgb_ir

SCENES = [render_scene(number, size=32, seed=0) for number in range(300)]


def hottest(present: dict[str, int]) -> list[float]:
    """Return the heat (1st of 100 hottest pixels' share) of all scenes with exactly this said of them."""
    chosen = [picture for picture, scene in SCENES if all(scene[name] == there for name, there in present.items())]
    assert len(chosen) > 10
    return [float(np.quantile(picture[:, :, 3], 0.99)) for picture in chosen]


def test_a_scene_depends_on_its_number_and_seed_alone() -> None:
    picture, present = render_scene(7, size=32, seed=0)
    assert (picture == SCENES[7][0]).all()
    assert present == SCENES[7][1]
    assert not (render_scene(7, size=32, seed=1)[0] == picture).all()


def test_infrared_shows_fire_through_smoke_and_not_the_tarp() -> None:
    calm = hottest({"fire": 0, "engine": 0, "tarp": 1, "fog": 0})
    burning = hottest({"fire": 1, "smoke": 1, "fog": 0})
    assert np.quantile(burning, 0.2) > np.quantile(calm, 0.95)


def test_an_engine_is_as_hot_as_a_fire() -> None:
    engines, fires = hottest({"fire": 0, "engine": 1, "fog": 0}), hottest({"fire": 1, "engine": 0, "fog": 0})
    assert abs(np.median(engines) - np.median(fires)) < 30


def test_a_share_of_the_training_labels_is_wrong_where_that_is_asked_for() -> None:
    right, mistaken = (synthetic_rgb_ir(None, images=400, size=4, wrong=wrong) for wrong in (0.0, 0.25))
    assert (right.train_labels != mistaken.train_labels).double().mean() == pytest.approx(0.25, abs=0.05)
    assert (right.test_labels == mistaken.test_labels).all()
    assert (right.train_images == mistaken.train_images).all()
