"""A trained file as a stage: measured, published as any model, and a teacher from then on; and epochs: 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from kd.catalog import load
from kd.errors import CheckpointError
from kd.train.weights import load_model, read_card
from tests.kd.conftest import make_spec, result_of

BEST = "checkpoint/best.safetensors"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Weights as a script under DataParallel saves them."""
    torch.manual_seed(3)
    network = load("model", "convnet")(4, 3, 8, width=4)
    torch.save({"model": {f"module.{name}": value for name, value in network.state_dict().items()}}, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def weights_spec(file: Path | None, **settings: Any) -> dict[str, Any]:
    spec = make_spec("given", kind="weights")
    model = spec["settings"]["model"]
    given = {} if file is None else {"file": str(file)}
    return {**spec, "settings": {"model": model, **given, "classifier": "kept", "precision": "auto", **settings}}


def test_the_file_is_published_as_it_is_and_measured_once(run, file: Path, tmp_path: Path) -> None:
    folder = run(tmp_path / "given", weights_spec(file))
    result = result_of(folder)
    model, card = load_model(folder.path / BEST)
    trained = torch.load(file, weights_only=True)["model"]
    assert all(torch.equal(value, trained[f"module.{name}"]) for name, value in model.state_dict().items())
    assert result["epochs"] == 0
    assert result["pretrained"] == {
        "file": str(file), "place": ["model"], "prefix": "module.", "classifier": "kept", "first_convolution": "kept"
    }  # fmt: skip
    assert result["validation"]["best"] == result["validation"]["last"]
    assert 0 <= result["test"]["best"]["accuracy"] <= 1
    assert result["cost"]["flops"] > 0
    assert card.name == "convnet"


def test_it_teaches_shown_its_own_pixels(run, file: Path, tmp_path: Path) -> None:
    given = run(tmp_path / "teacher", {**weights_spec(file, mean=[0.5] * 3, std=[0.25] * 3), "stage": "teacher"})
    assert read_card(given.path / BEST).mean == (0.5, 0.5, 0.5)
    student = run(tmp_path / "student", make_spec("student", kind="distill", epochs=1), parents={"teacher": given.path})
    result = result_of(student)
    assert result["teacher"]["stage"] == "teacher"


def test_a_drawn_classifier_is_told_and_decided_by_the_seed(run, file: Path, tmp_path: Path) -> None:
    network = load("model", "convnet")(9, 3, 8, width=4)
    torch.save(network.state_dict(), file)
    with pytest.raises(CheckpointError, match="is of 9 classes, and there are 4; 'classifier: new'"):
        run(tmp_path / "kept", weights_spec(file))
    first, second = (run(tmp_path / name, weights_spec(file, classifier="new")) for name in ("one", "two"))
    assert (first.path / BEST).read_bytes() == (second.path / BEST).read_bytes()
    result = result_of(first)
    assert result["pretrained"]["classifier"] == "new"


def test_without_a_file_as_in_a_tiny_run_the_weights_are_fresh(run, tmp_path: Path) -> None:
    result = result_of(run(tmp_path / "tiny", weights_spec(None)))
    assert "pretrained" not in result


def test_no_epochs_measure_what_another_stage_trained(run, teacher: Path, tmp_path: Path) -> None:
    start = {"stage": "teacher", "seed": 7, "fingerprint": "t"}
    spec = {**make_spec("again", epochs=0), "parents": {"start": start}}
    result = result_of(run(tmp_path / "again", spec, parents={"start": teacher}))
    before = load_model(teacher / BEST)[0].state_dict()
    after = load_model(tmp_path / "again" / BEST)[0].state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert (result["epochs"], result["start"]["stage"]) == (0, "teacher")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_another_network_is_one_line_with_the_file_and_what_differs(suffix: str, run, tmp_path: Path) -> None:
    wider, other = load("model", "convnet")(4, 3, 8, width=8), load("model", "resnet8")(4, 3, 8)
    for network, said in ((wider, "is [8, 3, 3, 3] there and [4, 3, 3, 3] here"), (other, "are there; missing: ")):
        path = tmp_path / f"weights{suffix}"
        weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        save_file(weights, path) if suffix == ".safetensors" else torch.save(weights, path)
        with pytest.raises(CheckpointError) as error:
            run(tmp_path / "given", weights_spec(path))
        line = str(error.value)
        assert line.startswith(f"{path}: these weights are of another network: ")
        assert said in line
        assert "\n" not in line
