"""kd-evaluate: the numbers of result.json again, each class by itself, and what cannot be measured, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from kd.rundir.folders import JobKey, RunFolder
from kd.trained.evaluate_command import main
from kd.trained.open_model import open_model


def test_a_stage_is_measured_as_its_result_says(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run.stage(JobKey("teacher", 1))
    assert main([str(folder.path), "-o", str(tmp_path / "evaluation.json")]) == 0
    found = json.loads((tmp_path / "evaluation.json").read_text())
    recorded = json.loads(folder.result.read_text())["test"]["best"]
    assert found["metrics"]["accuracy"] == recorded["accuracy"]
    assert found["metrics"]["loss"] == pytest.approx(recorded["loss"], rel=1e-5)
    assert f"{recorded['accuracy']:.2%}" in capsys.readouterr().out


def test_an_exported_file_has_the_accuracy_of_its_model(run: RunFolder, tmp_path: Path) -> None:
    accuracies = []
    for stage in ("teacher", "file"):
        assert main([str(run.stage(JobKey(stage, 1)).path), "-o", str(tmp_path / f"{stage}.json")]) == 0
        accuracies.append(json.loads((tmp_path / f"{stage}.json").read_text())["metrics"]["accuracy"])
    assert accuracies[0] == accuracies[1]


def test_class_scores_and_confusion_are_those_of_scikit_learn(run: RunFolder, tmp_path: Path) -> None:
    folder = run.stage(JobKey("teacher", 1)).path
    assert main([str(folder), "-o", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())["detail"]
    from kd.data.load_arrays import load_arrays

    arrays = load_arrays("digits", None, {}, 300, None)
    model = open_model(folder)
    pixels = arrays.test_images.float() / 255
    logits = model((pixels - model.card.mean[0]) / model.card.std[0])
    true, predicted = arrays.test_labels.numpy(), logits.argmax(1).numpy()
    assert found["confusion"] == confusion_matrix(true, predicted).tolist()
    expected = precision_recall_fscore_support(true, predicted, zero_division=0)
    for number, scores in enumerate(found["classes"].values()):
        values = [scores[key] for key in ("precision", "recall", "f1_score", "images")]
        assert values == pytest.approx([column[number] for column in expected])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{name: mnis}", "unknown dataset 'mnis' (did you mean 'mnist'?)"),
        ("[1]", "expected a data set as in a job file"),
        ("{name: digits, colour: red}", "dataset 'digits' takes no 'colour'"),
        ("{name: synthetic, validation: 8}", "takes images of 1 x 8² (channels x pixels), the data are 3 x 32²"),
        (
            "{name: synthetic, validation: 8, channels: 1, size: 8, classes: 3}",
            "the model knows 10 classes, the data have 3",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused_in_one_line(
    data: str, message: str, run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run.stage(JobKey("teacher", 1)).path), "--data", data]) == 2
    answer = capsys.readouterr()
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1
    assert answer.out == ""


def test_weights_outside_of_a_stage_need_data(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "far" / "away" / "model.safetensors"
    copied.parent.mkdir(parents=True)
    copied.write_bytes((run.stage(JobKey("teacher", 1)).path / "checkpoint/best.safetensors").read_bytes())
    assert main([str(copied)]) == 2
    assert "say with --data what to measure it on" in capsys.readouterr().err
    assert main([str(copied), "--data", "digits", "--part", "validation"]) == 0
