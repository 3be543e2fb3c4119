"""The sample in README.md has the form of what the command prints: its columns, its rows and its words."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from kd.report.collect import collect
from kd.report.table import print_report
from tests.conftest import REPOSITORY
from tests.kd.report.builder import RunBuilder

SEEDS = [1, 2, 3, 4, 5]


def form(text: str) -> str:
    """Return the words of a text, with # for every number, and without rules and line breaks."""
    return " ".join(re.sub(r"[+-]?\d+(\.\d+)?", "#", text).replace("─", "").split())


def sample() -> str:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return readme.partition("It ends like this:\n\n```\n")[2].partition("```")[0]


def test_the_sample_is_of_the_form_that_the_command_prints(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("teacher", "teacher", SEEDS, model="convnet")
    run.stage("baseline", "baseline", SEEDS, model="convnet")
    run.stage("distilled", "distilled", SEEDS, model="convnet", teacher="teacher")
    for stage, start in (("teacher", 0.93), ("baseline", 0.86), ("distilled", 0.88)):
        uneven = {"baseline": 0, "distilled": 1, "teacher": 2}[stage]
        run.finish(stage, {seed: start + 0.004 * (seed * (uneven + 1) % 5) for seed in SEEDS})
    console = Console(file=io.StringIO(), width=80)
    print_report(collect([run.run.path], run.run.path), console)
    assert isinstance(console.file, io.StringIO)
    _, _, printed = console.file.getvalue().partition("\n")  # the title
    assert form(printed).endswith(form(sample()))
