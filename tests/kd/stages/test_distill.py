"""A distillation refuses a teacher that has not finished or is damaged, and names its teacher in the result."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch

from kd.distill.teacher import load_trained_model
from kd.errors import CheckpointError
from kd.rundir.folders import BEST
from kd.rundir.stage_spec import read_spec
from kd.stages.stage_data import load_data


def test_the_result_names_the_teacher_and_the_metrics_log_each_term(run, spec, teacher, tmp_path: Path) -> None:
    folder = run(tmp_path, spec("distilled", kind="distill", epochs=1), parents={"teacher": teacher})
    expected = json.loads((teacher / "result.json").read_text())["validation"]["best"]["accuracy"]
    result = json.loads(folder.result.read_text())
    assert result["teacher"] == {"stage": "teacher", "seed": 7, "validation_accuracy": expected}
    with open(folder.metrics, newline="") as file:
        row = next(csv.DictReader(file))
    weighted = 0.5 * float(row["loss_ce"]) + 0.5 * float(row["loss_kd"])
    assert float(row["train_loss"]) == pytest.approx(weighted, rel=1e-5)
    assert float(row["loss_kd"]) > 0


def test_the_agreement_with_the_teacher_is_that_of_the_written_weights(run, spec, teacher, tmp_path: Path) -> None:
    folder = run(tmp_path, spec("distilled", kind="distill", epochs=1), parents={"teacher": teacher})
    data = load_data(read_spec(folder).data, staged=None, device=torch.device("cpu"))
    card = data.card(read_spec(folder).settings.model)
    predicted = []
    for weights in (folder.path / BEST, teacher / BEST):
        model, _ = load_trained_model(weights, student=card)
        with torch.inference_mode():
            logits = [model.eval()(images) for images, _ in data.validation.in_order()]
        predicted.append(torch.cat(logits).argmax(dim=1))
    agreement = json.loads(folder.result.read_text())["teacher_agreement"]["teacher"]
    assert agreement["top1"] == pytest.approx(float((predicted[0] == predicted[1]).double().mean()))
    assert agreement["kl"] > 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "result.json").unlink(), "no result.json"),
        (lambda folder: (folder / "checkpoint" / "best.safetensors").unlink(), "weights are missing"),
        (lambda folder: (folder / "checkpoint" / "best.safetensors").write_bytes(b"no"), "checksum differs"),
    ],
)
def test_an_unusable_teacher_is_refused_in_one_line(run, spec, teacher, tmp_path: Path, damage, words) -> None:
    copy = shutil.copytree(teacher, tmp_path / "teacher")
    damage(copy)
    with pytest.raises(CheckpointError, match=words) as error:
        run(tmp_path / "it", spec("distilled", kind="distill"), parents={"teacher": copy})
    assert "\n" not in str(error.value)
