"""Remarks that a report makes unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.report.collect import collect
from tests.kd.report.builder import three_stages

DATA = {"name": "digits", "train": 1000, "validation": 100, "test": 400, "classes": 10, "split_digest": "abc"}


@pytest.mark.parametrize(("baseline", "distilled", "remarked"), [(0.1, 0.12, True), (0.1, 0.3, False)])
def test_students_that_only_guess_are_remarked(
    tmp_path: Path, baseline: float, distilled: float, remarked: bool
) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9}, data=DATA)
    run.finish("baseline", {1: baseline}, data=DATA).finish("distilled", {1: distilled}, data=DATA)
    remarks = collect([run.run.path], tmp_path)["cnn"].remarks
    assert [remark.startswith("every student is at chance (10 %)") for remark in remarks] == [True] * remarked


def test_nothing_is_remarked_of_what_has_not_run(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.1}, data=DATA)
    assert collect([run.run.path], tmp_path)["cnn"].remarks == []
