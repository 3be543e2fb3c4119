"""What a training measures at its end beyond the metrics, where it is asked to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from kd.distill.teacher import load_trained_model
from kd.rundir.folders import BEST
from kd.rundir.stage_spec import read_spec
from kd.stages.stage_data import load_data
from tests.kd.conftest import result_of


def test_the_accuracy_under_attack_is_measured_where_it_is_asked_for(run, spec, tmp_path: Path) -> None:
    plain = result_of(run(tmp_path / "plain", spec(epochs=2)))
    result = result_of(run(tmp_path / "attacked", spec(epochs=2, attack={"epsilon": 0.1, "steps": 3})))
    assert "robustness" not in plain
    assert result["test"] == plain["test"]
    found = result["robustness"]
    assert set(found) == {"fgsm", "pgd"}
    assert all(0 <= attacked["accuracy"] <= result["test"]["best"]["accuracy"] for attacked in found.values())
    assert found["pgd"]["epsilon"] == pytest.approx(0.1)
    assert (found["fgsm"]["steps"], found["pgd"]["steps"]) == (1, 3)


def test_classes_and_confusion_are_those_of_scikit_learn_on_the_written_weights(run, spec, tmp_path: Path) -> None:
    folder = run(tmp_path / "run", spec(epochs=2))
    result, data = result_of(folder), load_data(read_spec(folder).data, staged=None, device=torch.device("cpu"))
    component = read_spec(folder).settings.model
    model, card = load_trained_model(folder.path / BEST, student=data.card(component))
    store = data.test_store()
    with torch.inference_mode():
        predicted = torch.cat([model.eval()(images).argmax(dim=1) for images, _ in store.in_order()])
    labels = list(range(len(card.classes)))
    expected = confusion_matrix(store.labels, predicted, labels=labels)
    assert result["detail"]["confusion"] == expected.tolist()
    columns = precision_recall_fscore_support(store.labels, predicted, labels=labels, zero_division=0)
    found = [
        [each[name] for each in result["detail"]["classes"].values()]
        for name in ("precision", "recall", "f1_score", "images")
    ]
    for ours, theirs in zip(found, columns, strict=True):
        assert ours == pytest.approx(theirs.tolist())
    assert result["calibration"]["negative_log_likelihood"] == pytest.approx(result["test"]["best"]["loss"], rel=1e-5)


def test_the_test_part_is_measured_in_float32_whatever_the_training_multiplied_in(run, spec, tmp_path: Path) -> None:
    folder = run(tmp_path / "run", spec(epochs=1, precision="bfloat16"))
    result, data = result_of(folder), load_data(read_spec(folder).data, staged=None, device=torch.device("cpu"))
    model, _ = load_trained_model(folder.path / BEST, student=data.card(read_spec(folder).settings.model))
    store = data.test_store()
    with torch.inference_mode():
        loss = sum(
            float(torch.nn.functional.cross_entropy(model.eval()(images), labels, reduction="sum"))
            for images, labels in store.in_order()
        ) / len(store)
    assert (result["precision"], result["measured_in"]) == ("bfloat16", "float32")
    assert result["test"]["best"]["loss"] == pytest.approx(loss, rel=1e-5)
