"""docs/job_files.md: its examples load, and are the stages that it names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from kd.jobfile.stage import Pipeline
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/job_files.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
FRAME = """\
pipeline: page
data: {name: digits, validation: 100}
seeds: [1]
"""
TEACHER = "  teacher: {kind: train, model: convnet}\n  baseline: {kind: train, model: convnet}\n"


@pytest.mark.parametrize(
    ("example", "stages"),
    [
        (1, ["distilled.plain", "distilled.hot", "distilled.without_flip", "distilled.wide"]),
        (2, [f"distilled.{loss}.temperature-{value}" for loss in ("kd", "dkd") for value in (1, 4, 8)]),
    ],
)
def test_an_example_is_the_stages_that_the_page_names(
    example: int, stages: list[str], load_text: Callable[..., Pipeline]
) -> None:
    text = f"{FRAME}{EXAMPLES[0]}stages:\n{TEACHER}{EXAMPLES[example]}"
    assert [name for name in load_text(text=text).stages if name.startswith("distilled")] == stages
