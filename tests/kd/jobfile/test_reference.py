"""docs/reference.md names every key and every argument, and is what the code says today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kd import catalog
from kd.jobfile.reference import page
from kd.jobfile.stage import Pipeline, stage_kinds

WRITTEN = (Path(__file__).resolve().parents[3] / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_page_is_fresh() -> None:
    assert page() == WRITTEN, "python -m kd.jobfile.reference > docs/reference.md"


@pytest.mark.parametrize("model", [Pipeline, *stage_kinds().values()])
def test_every_key_is_explained(model: type[Pipeline]) -> None:
    unexplained = [key for key, field in model.model_fields.items() if not field.description and key != "kind"]
    assert unexplained == []


@pytest.mark.parametrize("kind", sorted(catalog.PLACES))
def test_every_argument_has_a_row_in_the_section_of_its_entry(kind: str) -> None:
    for name, entry in catalog.entries(kind).items():
        sections = [text for text in re.split(r"^##", WRITTEN, flags=re.M) if text.startswith(f"# `{name}`\n")]
        assert any(all(f"\n| `{key}` |" in text for key in entry.arguments) for text in sections), name


def test_rows_have_defaults_and_ranges_in_words() -> None:
    assert "| `batch_size` | `128` | a whole number above 0 and at most 1000000 | Images per step" in WRITTEN
    assert "| `lr` | *required* | a number above 0 |" in WRITTEN
    assert "| `milestones` | *required* | a list (each: a whole number of at least 1) |" in WRITTEN
