"""Which stages give the three numbers: a rule that is stated, never the best test score."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.report.collect import collect
from kd.report.headline import CHOSEN, FIRST, ONLY
from kd.report.report_value import Family
from tests.kd.report.builder import RunBuilder, three_stages


@pytest.fixture
def run(tmp_path: Path) -> RunBuilder:
    run = three_stages(tmp_path / "run", [1]).stage("dkd", "distilled", [1], teacher="teacher")
    run.finish("teacher", {1: 0.9}).finish("baseline", {1: 0.8})
    return run.finish("distilled", {1: 0.82}).finish("dkd", {1: 0.88})


def family(run: RunBuilder) -> Family:
    return collect([run.run.path], run.run.path)["cnn"]


def test_the_first_distilled_stage_counts_whatever_it_scored(run: RunBuilder) -> None:
    found = family(run.write_plan())
    assert found.student_accuracy_with_kd == pytest.approx(0.82)
    assert (found.headline.distilled, found.headline.rule) == ("distilled", FIRST)
    assert found.headline.best_on_validation == "dkd"


def test_the_job_file_may_choose_another(run: RunBuilder) -> None:
    found = family(run.write_plan(headline="dkd"))
    assert found.student_accuracy_with_kd == pytest.approx(0.88)
    assert (found.headline.distilled, found.headline.rule) == ("dkd", CHOSEN)


def test_the_only_distilled_stage_needs_no_rule(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("distilled", {1: 0.82})
    assert family(run).headline.rule == ONLY
    assert family(run).headline.teacher == "teacher"
