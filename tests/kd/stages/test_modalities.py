"""Stages on images of two modalities with several labels: who sees what, what epochs are chosen by and measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kd.compress.onnx_model import OnnxModel
from kd.distill.teacher import LiveTeacher
from kd.errors import CheckpointError, SpecError
from kd.files import sha256_file
from kd.run import run_stage
from kd.rundir.folders import StageFolder
from kd.stages.context import Interrupted, in_place
from kd.train.step import Batch
from kd.train.weights import load_model, read_card
from tests.kd.conftest import make_spec, result_of

BCE = {"bce": {"weight": 1.0, "arguments": {}}}
BOTH = {**BCE, "binary_kd": {"weight": 1.0, "arguments": {"temperature": 2.0}}}
DATA = {
    "name": "synthetic_rgb_ir",
    "root": None,
    "arguments": {"images": 80, "size": 8, "seed": 0, "labels": ["fire", "smoke"]},
    "validation": 0.3,
    "train_subset": None,
    "test_subset": None,
}


def frames_spec(stage: str, *, kind: str = "train", parents: dict | None = None, **settings: Any) -> dict:
    """Return the spec of a training on frames; teachers see all, others what ``modalities`` say."""
    chosen = {"loss": BOTH if kind == "distill" else BCE, "epochs": 2, **settings}
    spec = {**make_spec(stage, kind=kind, **chosen), "data": DATA}
    return {**spec, **({} if parents is None else {"parents": parents})}


def parent(stage: str) -> dict[str, Any]:
    return {"stage": stage, "seed": 7, "fingerprint": f"{stage}-1"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher that sees both, and a student of it that sees RGB alone."""
    base = tmp_path_factory.mktemp("frames")
    specs = {
        "teacher": (frames_spec("teacher"), {}),
        "student": (frames_spec("student", kind="distill", modalities=["rgb"]), {"teacher": base / "teacher"}),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KD_THREADS", "1")
        for name, (spec, parents) in specs.items():
            (base / name).mkdir()
            StageFolder(base / name).path.joinpath("spec.json").write_text(json.dumps(spec))
            run_stage(in_place(StageFolder(base / name), parents=parents))
    return {name: base / name for name in specs}


def test_a_student_of_rgb_is_a_network_of_three_channels_with_a_teacher_of_four(trained: dict[str, Path]) -> None:
    teacher, student = (read_card(trained[name] / "checkpoint/best.safetensors") for name in ("teacher", "student"))
    assert (teacher.in_channels, teacher.seen) == (4, (("rgb", 3), ("ir", 1)))
    assert (student.in_channels, student.seen, student.multi_label) == (3, (("rgb", 3),), True)
    assert student.mean == teacher.mean[:3]
    assert result_of(trained["student"])["data"]["modalities"] == ["rgb"]


def test_the_teacher_is_shown_the_very_images_of_the_student_with_the_further_channel(
    trained: dict[str, Path], run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[Batch] = []
    ask = LiveTeacher.__call__
    monkeypatch.setattr(LiveTeacher, "__call__", lambda self, batch: batches.append(batch) or ask(self, batch))
    spec = frames_spec("other", kind="distill", modalities=["rgb"], epochs=1, mixup={"alpha": 1.0})
    run(tmp_path / "other", spec, parents={"teacher": trained["teacher"]})
    trained_on = [batch for batch in batches if batch.mixed]  # validation images are shown to it at the end
    assert trained_on
    for batch in trained_on:
        assert batch.privileged is not None
        assert batch.privileged.shape[1] == 4
        assert (batch.privileged[:, :3] == batch.images).all()


def test_epochs_are_chosen_by_f1_and_the_test_part_is_measured_label_by_label(trained: dict[str, Path]) -> None:
    result = result_of(trained["student"])
    assert result["metric"] == "f1_score"
    best = result["test"]["best"]
    assert best["accuracy"] == pytest.approx(1 - best["hamming_loss"])
    assert set(best["labels"]) == {"fire", "smoke"}
    assert result["data"] | {"split_digest": None} == {
        "name": "synthetic_rgb_ir", "train": 39, "validation": 17, "test": 24, "classes": 2, "split_digest": None,
        "multi_label": True, "modalities": ["rgb"],
    }  # fmt: skip


def test_only_a_model_of_several_modalities_is_measured_without_one(trained: dict[str, Path]) -> None:
    assert "robustness" not in result_of(trained["student"])
    found = result_of(trained["teacher"])["robustness"]
    assert set(found) == {"without rgb", "noisy rgb", "without ir", "noisy ir"}
    assert all({"accuracy", "f1_score", "loss"} <= set(metrics) for metrics in found.values())


def test_a_cache_of_the_teacher_teaches_what_the_teacher_does(trained: dict[str, Path], run, tmp_path: Path) -> None:
    settings = {"views": 1, "pooled": False, "precision": "auto", "deterministic": False}
    augment = {"crop": 0, "flip": False}
    cache = frames_spec("cache", parents={"teacher": parent("teacher")})
    cache |= {"kind": "cache", "settings": {**settings, "augment": augment}}
    run(tmp_path / "cache", cache, parents={"teacher": trained["teacher"]})
    spec = frames_spec("taught", kind="distill", modalities=["rgb"], augment=augment)
    for name, teacher in (("live", trained["teacher"]), ("cached", tmp_path / "cache")):
        run(tmp_path / name, spec, parents={"teacher": teacher})
    live, cached = (load_model(tmp_path / name / "checkpoint/last.safetensors")[0] for name in ("live", "cached"))
    for name, tensor in live.state_dict().items():
        assert (tensor == cached.state_dict()[name]).all(), name


def test_a_training_stopped_in_mid_epoch_ends_with_the_same_weights(
    trained: dict[str, Path], run, tmp_path: Path
) -> None:
    spec = frames_spec("student", kind="distill", modalities=["rgb"])
    steps = iter(range(100))
    with pytest.raises(Interrupted):
        run(tmp_path / "it", spec, parents={"teacher": trained["teacher"]}, stop_requested=lambda: next(steps) == 2)
    run(tmp_path / "it", spec, parents={"teacher": trained["teacher"]})
    names = ("checkpoint/best.safetensors", "checkpoint/last.safetensors")
    again, whole = ([sha256_file(folder / name) for name in names] for folder in (tmp_path / "it", trained["student"]))
    assert again == whole
    assert result_of(tmp_path / "it")["validation"] == result_of(trained["student"])["validation"]


def test_two_teachers_that_see_different_things_teach_together(trained: dict[str, Path], run, tmp_path: Path) -> None:
    spec = frames_spec(
        "taught", kind="distill", modalities=["rgb"], epochs=1, weighting={"name": "uniform", "arguments": {}},
        parents={"teacher_1": parent("teacher"), "teacher_2": parent("student")},
    )  # fmt: skip
    parents = {"teacher_1": trained["teacher"], "teacher_2": trained["student"]}
    assert len(result_of(run(tmp_path / "taught", spec, parents=parents).path)["teachers"]) == 2


def test_an_exported_student_takes_three_channels(trained: dict[str, Path], run, tmp_path: Path) -> None:
    spec = {**frames_spec("deployed", parents={"of": parent("student")}), "kind": "export"}
    folder = run(tmp_path / "deployed", {**spec, "settings": {"format": "onnx"}}, parents={"of": trained["student"]})
    result = result_of(folder.path)
    assert result["metric"] == "f1_score"
    assert result["test"]["best"]["f1_score"] == result_of(trained["student"])["test"]["best"]["f1_score"]
    assert result["agreement"]["top1"] == 1.0
    deployed = OnnxModel(folder.path / result["file"]["name"])
    assert deployed(torch.zeros(5, 3, 8, 8)).shape == (5, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modalities": ["thermal"]}, r"no 'thermal' \(known: ir, rgb\)"),
        ({"loss": {"ce": {"weight": 1.0, "arguments": {}}}}, "loss 'ce' is for images of one class"),
    ],
)
def test_what_does_not_fit_the_images_is_refused_in_one_line(change: dict, words: str, run, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=words) as error:
        run(tmp_path / "wrong", frames_spec("wrong", **change))
    assert "\n" not in str(error.value)


def test_a_loss_of_labels_on_images_of_one_class_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="loss 'bce' is for images of several labels"):
        run(tmp_path / "wrong", make_spec("wrong", loss=BCE))


def test_a_teacher_of_more_than_the_images_have_and_a_start_of_other_modalities_are_refused(
    trained: dict[str, Path], run, tmp_path: Path
) -> None:
    spec = frames_spec("further", modalities=["rgb"], parents={"start": parent("teacher")})
    with pytest.raises((CheckpointError, SpecError), match="rgb"):
        run(tmp_path / "further", spec, parents={"start": trained["teacher"]})
