"""What a report stage may ask for: a headline and targets, of stages that measure an accuracy."""

from __future__ import annotations

import pytest

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.rundir.stage_spec import ReportSettings


def test_headline_and_targets_reach_the_plan_and_are_absent_where_nobody_asks() -> None:
    asked = ["stages.report.headline=distilled", "stages.report.expect={distilled: '>= 0.9'}"]
    plan = plan_pipeline(load_pipeline("quickstart", overrides=asked)).to_file()
    assert (plan.headline, plan.expect) == ("distilled", {"distilled": ">= 0.9"})
    plain = plan_pipeline(load_pipeline("quickstart"))
    assert (plain.to_file().headline, plain.to_file().expect) == (None, {})
    (report,) = plain.by_stage()["report"]
    assert report.spec.settings == ReportSettings()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.report.headline=distiled", "unknown stage 'distiled' (did you mean 'distilled'?)"),
        ("stages.report.headline=report", "stage 'report' measures no accuracy"),
        ("stages.report.expect={distilled: '99 %'}", "'99 %' is no target: write '>= 0.99'"),
        ("stages.report.expect={distilled: '>= 99'}", "'>= 99' is no target"),
        ("stages.report.expect={nobody: '>= 0.9'}", "unknown stage 'nobody'"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_one_line(override: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_pipeline("quickstart", overrides=[override])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
