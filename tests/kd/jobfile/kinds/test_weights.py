"""What a stage of kind weights refuses, and what its file decides."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.stage import Pipeline

STUDENT = {
    "kind": "distill", "teacher": "given", "model": "convnet", "epochs": 1,
    "optimizer": {"name": "sgd", "lr": 0.1}, "loss": {"ce": 0.5, "kd": 0.5},
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"one")
    return path


def loaded(folder: Path, stage: dict[str, object], **stages: object) -> Pipeline:
    path = folder / "job.yaml"
    content = {
        "pipeline": "test",
        "data": {"name": "digits", "validation": 100},
        "seeds": [1, 2],
        "stages": {"given": {"kind": "weights", "model": "resnet20", **stage}, "student": STUDENT, **stages},
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load_pipeline(str(path))


def test_one_job_measures_the_file_for_all_seeds_of_its_students(file: Path, tmp_path: Path) -> None:
    plan = plan_pipeline(loaded(tmp_path, {"file": str(file)}))
    assert [job.key.seed for job in plan.by_stage()["given"]] == [1]
    assert [job.parents["teacher"].seed for job in plan.by_stage()["student"]] == [1, 1]


def test_the_bytes_of_the_file_are_its_identity_and_the_students(file: Path, tmp_path: Path) -> None:
    def fingerprints(path: Path) -> list[str]:
        return [job.fingerprint for job in plan_pipeline(loaded(tmp_path, {"file": str(path)})).jobs]

    before = fingerprints(file)
    moved = tmp_path / "moved.pth"
    moved.write_bytes(b"one")
    assert fingerprints(moved) == before
    file.write_bytes(b"two")
    assert not set(fingerprints(file)) & set(before)


def test_variables_and_home_are_expanded(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_MODELS", str(tmp_path))
    (job,) = plan_pipeline(loaded(tmp_path, {"file": "${KD_MODELS}/weights.pth"})).by_stage()["given"]
    assert job.spec.settings.file == str(file)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ({"file": "/nowhere/w.pth"}, "there is no file /nowhere/w.pth"),
        ({"file": "${KD_NO_SUCH}/w.pth"}, "the environment variable KD_NO_SUCH is not set"),
        ({"model": "resnet21"}, "unknown model 'resnet21'"),
        ({"model": {"name": "resnet18", "pretrained": True}}, "'file' names the weights here; remove 'pretrained'"),
        ({"mean": [0.5]}, "'mean' needs 'std' beside it"),
        ({"mean": [0.5] * 3, "std": [0.5]}, "one value per channel is needed: the images have 1"),
        ({"mean": [0.5], "std": [0.0]}, "every deviation must be above 0"),
        ({"classifier": "other"}, "classifier"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(stage: dict[str, object], said: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        loaded(tmp_path, {"file": str(file), **stage})
    (line,) = error.value.lines
    assert said in line
    assert "job.yaml:" in line


def test_a_file_in_the_place_of_a_stage_is_told_how_to_become_one(file: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"is no stage; make the file one: \{kind: weights, model: …, file: "):
        loaded(tmp_path, {"file": str(file)}, student={**STUDENT, "teacher": str(file)})


def test_a_training_that_starts_from_it_has_its_model(file: Path, tmp_path: Path) -> None:
    tuned = {"kind": "train", "model": "resnet32", "start": "given", "epochs": 1, "optimizer": STUDENT["optimizer"]}
    with pytest.raises(SpecError, match=r"stage 'given' trains another model \(resnet20\); give both the same"):
        loaded(tmp_path, {"file": str(file)}, tuned=tuned)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "train"}, "epochs: 0 measures a trained model as it is; name one: 'pretrained' or 'start'"),
        ({}, "a student that learns nothing needs no teacher"),
    ],
)
def test_no_epochs_are_for_trained_models_only(changes: dict, said: str, file: Path, tmp_path: Path) -> None:
    stage = {**STUDENT, **changes, "epochs": 0}
    if stage["kind"] == "train":
        stage = {key: value for key, value in stage.items() if key not in ("teacher", "loss")}
    with pytest.raises(SpecError, match=said):
        loaded(tmp_path, {"file": str(file)}, student=stage)
