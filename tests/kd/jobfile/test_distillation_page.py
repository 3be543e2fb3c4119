"""docs/distillation.md: its examples are job files that load and plan, its tables are the catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kd import catalog
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.stage import Pipeline

PAGE = (Path(__file__).resolve().parents[3] / "docs/distillation.md").read_text(encoding="utf-8")
WHOLE, *STAGES = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def test_the_first_example_is_a_whole_job(load_text: Callable[..., Pipeline]) -> None:
    plan = plan_pipeline(load_text(text=yaml.safe_dump(WHOLE, sort_keys=False)))
    assert str(plan.jobs[-1].key) == "small/seed-3"
    assert len(STAGES) > 3


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("stages", STAGES, ids=lambda stages: next(iter(stages)))
def test_the_others_are_further_stages_of_it(
    load_text: Callable[..., Pipeline], stages: dict[str, Any], tiny: bool
) -> None:
    job = load_text(text=yaml.safe_dump({**WHOLE, "stages": WHOLE["stages"] | stages}), tiny=tiny)
    planned = {job.key.stage for job in plan_pipeline(job).jobs}
    assert stages.keys() <= planned


@pytest.mark.parametrize("kind", ["weighting", "temperature"])
def test_the_tables_name_every_entry_with_its_arguments(kind: str) -> None:
    table = PAGE[PAGE.index(f"| {kind} | arguments") :].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) ?\|", table, re.MULTILINE))
    assert rows == {
        name: ", ".join(
            f"`{key}`" if argument.default is catalog.REQUIRED else f"`{key}: {json.dumps(argument.default)}`"
            for key, argument in entry.arguments.items()
        )
        for name, entry in catalog.entries(kind).items()
    }
