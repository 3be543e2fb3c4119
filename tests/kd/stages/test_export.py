"""Export stages: the file is what it says, its accuracy is the file's own, and its costs are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from PIL import Image

import kd
from kd.data.load_arrays import load_arrays
from kd.errors import CheckpointError
from kd.files import sha256_file
from tests.kd.conftest import make_spec, result_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def student(run, shared: Path) -> Path:
    """A finished student; trained once."""
    if not (shared / "student/result.json").exists():
        run(shared / "student", make_spec("student", epochs=1))
    return shared / "student"


def export_spec(form: str) -> dict:
    settings = {"format": form, **({"calibration_batches": 2} if form == "static_int8" else {})}
    parents = {"of": {"stage": "student", "seed": 7, "fingerprint": "student-1"}}
    return {**make_spec("deployed"), "kind": "export", "parents": parents, "settings": settings}


@pytest.mark.parametrize("form", ["onnx", "pt2", "static_int8", "dynamic_int8"])
def test_a_file_is_written_verified_and_measured(form: str, run, student: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / form, export_spec(form), parents={"of": student})
    result = result_of(folder)
    path = folder.path / result["file"]["name"]
    assert result["file"]["bytes"] == path.stat().st_size
    assert result["files"][result["file"]["name"]] == sha256_file(path)
    assert set(result["files"]) - {result["file"]["name"]} == (set() if form == "pt2" else {"checkpoint/use_model.py"})
    assert 0 <= result["test"]["best"]["accuracy"] <= 1
    assert result["cost"]["flops"] > 0
    assert result["cost"]["cpu"]["latency"]["median"] > 0
    assert (result["calibration"]["part"], sum(result["calibration"]["counts"])) == ("test", 40)
    assert len(result["detail"]["classes"]) == len(result["detail"]["confusion"])
    assert result["cost"]["network"]["runtime"].startswith("PyTorch float32, cpu: ")
    framework = "PyTorch program" if form == "pt2" else "ONNX Runtime"
    assert result["cost"]["cpu"]["runtime"].startswith(f"{framework}, cpu: ")
    if "int8" in form:
        assert result["cost"]["float32_file"]["runtime"] == result["cost"]["cpu"]["runtime"]
        assert result["precision"] == result["measured_in"] == "int8"
        assert result["file"]["int8"]["layers"] == 4
        assert result["agreement"]["top1"] > 0.8
    else:
        assert "float32_file" not in result["cost"]
        assert result["file"]["difference"] <= 1e-4
        assert result["agreement"]["kl"] == pytest.approx(0, abs=1e-6)


def test_a_float32_file_has_the_accuracy_of_the_model(run, tmp_path: Path) -> None:
    spec = make_spec("student", epochs=1, precision="float32")
    trained = result_of(run(tmp_path / "student", spec))
    again = result_of(run(tmp_path / "again", export_spec("onnx"), parents={"of": tmp_path / "student"}))
    assert again["test"]["best"] == pytest.approx(trained["test"]["best"], abs=1e-6)
    assert again["start"]["validation_accuracy"] == trained["validation"]["best"]["accuracy"]


@pytest.mark.parametrize("preprocess", [False, True])
def test_the_lines_beside_the_file_name_photos_as_the_model_does(
    preprocess: bool, run, student: Path, tmp_path: Path
) -> None:
    spec = export_spec("onnx")
    spec["settings"] |= {"preprocess": preprocess}
    folder = run(tmp_path / "it", spec, parents={"of": student})
    data = spec["data"]
    arrays = load_arrays(data["name"], None, data["arguments"])
    photos = [tmp_path / f"{number}.png" for number in range(len(arrays.test_images))]
    for photo, image_CHW in zip(photos, arrays.test_images, strict=True):
        Image.fromarray(image_CHW.permute(1, 2, 0).numpy()).save(photo)
    command = [sys.executable, folder.path / "checkpoint/use_model.py", *photos]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    named = [line.rpartition(": ")[2] for line in printed]
    right = [arrays.classes[label] == name for label, name in zip(arrays.test_labels, named, strict=True)]
    assert sum(right) / len(right) == pytest.approx(result_of(folder)["test"]["best"]["accuracy"])
    (images,) = onnx.load(folder.path / "checkpoint/model.onnx").graph.input
    assert images.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert images.type.tensor_type.elem_type == (onnx.TensorProto.UINT8 if preprocess else onnx.TensorProto.FLOAT)
    assert named == [found.label for found in kd.predict(folder.path, photos)]


def test_a_model_that_has_not_finished_is_refused(run, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has not finished"):
        run(tmp_path / "early", export_spec("onnx"), parents={"of": tmp_path})
