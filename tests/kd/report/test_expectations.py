"""Targets: met or not met only where the whole interval says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.report.collect import collect
from tests.kd.report.builder import three_stages

SEEDS = {1: 0.90, 2: 0.91, 3: 0.92}  # the 95 % t interval is 0.885 to 0.935


@pytest.mark.parametrize(
    ("wanted", "outcome"),
    [(">= 0.88", "met"), (">= 0.91", "cannot tell"), ("> 0.95", "not met"), ("< 0.95", "met"), ("<=0.8", "not met")],
)
def test_an_interval_over_seeds_decides(wanted: str, outcome: str, tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2, 3]).finish("distilled", SEEDS)
    run.write_plan(expect={"distilled": wanted})
    (target,) = collect([run.run.path], run.run.path)["cnn"].expectations
    assert (target.outcome, target.interval_of, target.n) == (outcome, "seeds", 3)


@pytest.mark.parametrize(("wanted", "outcome"), [(">= 0.85", "met"), (">= 0.9", "cannot tell"), (">= 0.99", "not met")])
def test_one_seed_has_the_interval_of_its_400_test_images(wanted: str, outcome: str, tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("distilled", {1: 0.91})
    run.write_plan(expect={"distilled": wanted})
    (target,) = collect([run.run.path], run.run.path)["cnn"].expectations
    assert (target.outcome, target.interval_of) == (outcome, "test images")


def test_nothing_finished_is_no_miss(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).write_plan(expect={"distilled": ">= 0.5"})
    (target,) = collect([run.run.path], run.run.path)["cnn"].expectations
    assert (target.outcome, target.mean) == ("cannot tell", None)
