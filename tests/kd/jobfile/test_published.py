"""The job file of the published CIFAR-100 tables: its losses are the presets, the page has a number for each stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kd.jobfile.kinds.distill import DistillStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.load import load_pipeline
from kd.jobfile.shorthand import write_out
from kd.jobfile.source import read_document
from kd.losses.presets import PRESETS
from tests.conftest import REPOSITORY

JOB_FILE = REPOSITORY / "jobs" / "cifar100_published.yaml"
PAIRS = {"resnet20": "resnet56", "resnet8x4": "resnet32x4", "wrn16_2": "wrn40_2"}
WRITTEN = write_out(read_document(JOB_FILE)).data["stages"]
DISTILLED = {name: stage for name, stage in WRITTEN.items() if stage["kind"] == "distill"}


def suits(setting: str, student: str) -> bool:
    """Whether a preset is for CIFAR-100 and for this student and its teacher, or for any."""
    named = setting.replace("-", "_").lower()
    pair = f"{PAIRS[student]} to {student}" in named or (student.startswith("wrn") and "wide resnets" in named)
    return setting.startswith("CIFAR-100") and (pair or " to " not in named)


@pytest.mark.parametrize("name", DISTILLED)
def test_a_loss_is_the_preset_of_its_method_and_networks(name: str) -> None:
    stage = DISTILLED[name]
    (loss,) = set(stage["loss"]) - {"ce"}
    expected = [
        dict(preset.terms) for preset in PRESETS if preset.loss == loss and suits(preset.setting, stage["model"])
    ]
    assert [_numbers(terms) for terms in expected] == [_numbers(stage["loss"])]


def _numbers(terms: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, dict) else {"weight": value} for name, value in terms.items()}


def test_every_pair_is_distilled_in_the_same_ways_by_the_same_schedule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    stages = load_pipeline(str(JOB_FILE)).stages
    trained = {name: stage for name, stage in stages.items() if isinstance(stage, TrainStage)}
    methods = {student: [] for student in PAIRS}
    for name, stage in trained.items():
        if isinstance(stage, DistillStage):
            assert stage.teacher == [PAIRS[stage.model.name]]
            methods[stage.model.name].append(name.removeprefix(stage.model.name))
    assert methods["resnet20"] == methods["resnet8x4"] == methods["wrn16_2"]
    assert len(methods["resnet20"]) == 12
    same = {
        (stage.epochs, stage.batch_size, stage.precision, str(stage.optimizer), str(stage.schedule))
        for stage in trained.values()
    }
    assert len(same) == 1


def test_the_page_has_a_published_number_for_every_method() -> None:
    page = (REPOSITORY / "docs" / "published.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `…(_[\w.]+)` \|(.*)\|$", page, flags=re.MULTILINE))
    assert set(rows) == {name.removeprefix(stage["model"]) for name, stage in DISTILLED.items()}
    for cells in rows.values():
        assert all(re.fullmatch(r" (7\d\.\d\d|69\.\d\d|–) ", cell) for cell in cells.split("|")[:3])
