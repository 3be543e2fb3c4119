"""Classes and confidence over the seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.report.collect import collect
from kd.report.detail_means import summed_confusion
from kd.rundir.stage_result import load_result
from tests.kd.report.builder import evidence, three_stages


def test_classes_are_averaged_and_bins_pooled_over_the_seeds(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2])
    run.finish("teacher", {1: 0.8}, **evidence(0.8)).finish("teacher", {2: 0.9}, **evidence(0.9))
    teacher = collect([run.run.path], run.run.path)["cnn"].stages["teacher"]
    assert teacher.classes["cat"].f1_score == pytest.approx(0.85)
    assert teacher.calibration is not None
    assert teacher.calibration.counts == [0, 30, 170]
    assert teacher.calibration.accuracy[2] == pytest.approx((80 * 0.8 + 90 * 0.9) / 170)
    assert summed_confusion([load_result(run.folder("teacher", seed)) for seed in (1, 2)]) == [[170, 30], [30, 170]]


def test_the_agreement_with_each_teacher_is_described_over_the_seeds(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2])
    for seed, share in ((1, 0.7), (2, 0.9)):
        run.finish("distilled", {seed: 0.8}, teacher_agreement={"teacher": {"top1": share, "kl": 0.1}})
    agreement = collect([run.run.path], run.run.path)["cnn"].stages["distilled"].teacher_agreement["teacher"]
    assert (agreement.n, agreement.mean) == (2, pytest.approx(0.8))
