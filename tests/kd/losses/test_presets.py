"""The papers' settings are settings that a job file can have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from kd import catalog
from kd.jobfile.schema import TermOptions
from kd.losses.authors_code import COMPARISONS
from kd.losses.costs import MILLISECONDS
from kd.losses.page import page
from kd.losses.presets import PRESETS, Preset
from tests.conftest import REPOSITORY

SAID = [pytest.param(preset, id=f"{preset.loss}: {preset.setting}") for preset in PRESETS]


def faults(terms: dict[str, Any]) -> Iterator[str]:
    for name, value in terms.items():
        term = TermOptions.model_validate(value, strict=False)
        entry = catalog.find("loss", name)
        assert entry is not None, name
        yield from (message for _, message in catalog.check_arguments(entry, "loss", term.arguments, ["weight"]))


@pytest.mark.parametrize("preset", SAID)
def test_a_preset_is_a_loss_of_a_job_file_with_a_source(preset: Preset) -> None:
    assert list(faults(dict(preset.terms))) == []
    assert preset.loss in preset.terms
    assert preset.source
    assert preset.setting


@pytest.mark.parametrize("preset", SAID)
def test_a_preset_names_only_networks_that_exist_here(preset: Preset) -> None:
    named = re.findall(r"\b(?:\w*(?:net|vgg|wrn|vit|swin)[\w-]*)", preset.setting, flags=re.IGNORECASE)
    unknown = set(named) - set(catalog.entries("model")) - {"ImageNet"}
    assert not unknown


def test_every_loss_that_a_teacher_takes_part_in_has_one() -> None:
    assert {preset.loss for preset in PRESETS} == set(catalog.entries("loss")) - {
        "ce",
        "bce",
        "balanced_ce",
        "balanced_bce",
    }


def test_the_cost_of_every_loss_is_known_and_comparisons_are_of_losses_that_exist() -> None:
    losses = set(catalog.entries("loss"))
    assert set(MILLISECONDS) == losses
    assert {each.loss for each in COMPARISONS} <= losses
    assert all(max(each.value, each.gradient) <= 1e-5 for each in COMPARISONS)


def test_the_page_is_the_one_that_the_code_writes() -> None:
    written = (REPOSITORY / "docs" / "losses.md").read_text(encoding="utf-8")
    assert written == page(), "python -m kd.losses.page > docs/losses.md"


def test_the_page_names_every_loss_and_its_lines_are_yaml() -> None:
    text = page()
    for name, entry in catalog.entries("loss").items():
        assert f"| `{name}` | {entry.summary.replace('||', '&#124;&#124;')} |" in text
    shown = [line.partition("`loss: ")[2].partition("`")[0] for line in text.splitlines() if "`loss: " in line]
    assert [yaml.safe_load(line) for line in shown] == [dict(preset.terms) for preset in PRESETS]
