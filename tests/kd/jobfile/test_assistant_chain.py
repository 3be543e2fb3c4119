"""Every variant that docs/assistant_chain.md promises is an override that the job file takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.shapes import Shape, image_shape
from tests.conftest import REPOSITORY

JOB_FILE = REPOSITORY / "jobs" / "assistant_chain.yaml"
PAGE = (REPOSITORY / "docs" / "assistant_chain.md").read_text(encoding="utf-8")


def promised() -> list[list[str]]:
    """Return the overrides of each line of the page that has some."""
    found = []
    for spans in (re.findall(r"`(--set [^`]+)`", line) for line in PAGE.splitlines()):
        words = [word for span in spans for word in shlex.split(span)]
        if words:
            found.append([word for word in words if word != "--set"])
    return found


@pytest.mark.parametrize("overrides", promised(), ids=lambda overrides: overrides[0].partition("=")[0])
def test_a_variant_plans(overrides: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    changed = plan_pipeline(load_pipeline(str(JOB_FILE), overrides=overrides)).jobs
    unchanged = plan_pipeline(load_pipeline(str(JOB_FILE))).jobs
    assert [job.key for job in changed] == [job.key for job in unchanged]
    assert changed[0].fingerprint != unchanged[0].fingerprint


def test_there_are_variants_of_all_kinds() -> None:
    text = " ".join(word for overrides in promised() for word in overrides)
    assert all(part in text for part in ("pretrained", "freeze", "medmnist", "sgd", "constant", "deterministic"))


def test_the_header_s_medmnist_is_the_page_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    (written,) = re.findall(r"--set '(data=[^']+)'", JOB_FILE.read_text(encoding="utf-8"))
    assert written in PAGE
    shape = image_shape(load_pipeline(str(JOB_FILE), overrides=[written]).data)
    assert shape == Shape(classes=9, channels=3, size=28)
