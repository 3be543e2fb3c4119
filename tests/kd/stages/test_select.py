"""A selection: the model of the chosen candidate, as it is; why, in figures; and no look at a test image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kd.data.store import DeviceStore
from kd.errors import CheckpointError
from kd.files import sha256_file, write_json
from kd.run import run_stage
from kd.rundir.folders import BEST, StageFolder
from kd.stages.context import Interrupted, in_place
from kd.train.weights import load_weights, save_weights
from tests.kd.conftest import make_spec, result_of
from tests.kd.stages.test_cache import cache_spec, student_spec
from tests.kd.stages.test_export import export_spec
from tests.kd.stages.training.test_fit_stage import outcome, stop_at

STAGES = ("assistant", "student", "assisted")


def select_spec(minimum_gain: float = 0.05) -> dict:
    parents = {
        name: {"stage": stage, "seed": 7, "fingerprint": f"{stage}-1"}
        for name, stage in (("of_1", "teacher"), ("of_2", "assistant"), ("by_1", "student"), ("by_2", "assisted"))
    }
    return {**make_spec("chain"), "kind": "select", "parents": parents, "settings": {"minimum_gain": minimum_gain}}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture
def parents(run, teacher: Path, shared: Path) -> dict[str, Path]:
    """A teacher, an assistant and the student of each; trained once."""
    epochs = {"assistant": 2, "student": 1, "assisted": 20}
    for name in STAGES:
        if not (shared / name / "result.json").exists():
            by = shared / "assistant" if name == "assisted" else teacher
            run(
                shared / name,
                {**student_spec(epochs=epochs[name]), "stage": name, "fingerprint": name},
                parents={"teacher": by},
            )
    return {"of_1": teacher, "of_2": shared / "assistant", "by_1": shared / "student", "by_2": shared / "assisted"}


@pytest.fixture
def better(parents: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same, with a first student that is the second one turned round: it says the least likely class."""
    weights, card = load_weights(parents["by_2"] / BEST)
    hopeless = {name: -tensor if name.startswith("fc") else tensor for name, tensor in weights.items()}
    save_weights(tmp_path / "hopeless" / BEST, hopeless, card)
    result = json.loads((parents["by_1"] / "result.json").read_text())
    result["files"] = {BEST: sha256_file(tmp_path / "hopeless" / BEST)}
    write_json(tmp_path / "hopeless/result.json", result)
    return {**parents, "by_1": tmp_path / "hopeless"}


def test_the_chosen_candidate_is_there_as_it_is(run, better: dict[str, Path], tmp_path: Path) -> None:
    folder = run(tmp_path / "chain", select_spec(), parents=better)
    result, candidate = result_of(folder), result_of(StageFolder(better["of_2"]))
    assert (folder.path / BEST).read_bytes() == (better["of_2"] / BEST).read_bytes()
    assert result["selection"]["chosen"] == "assistant"
    assert result["files"] == {BEST: sha256_file(better["of_2"] / BEST)}
    for key in ("model", "parameters", "validation", "test", "measured_in", "detail", "calibration", "cost", "file"):
        assert result[key] == candidate[key]


def test_the_result_says_why_and_what_it_cost(run, parents: dict[str, Path], better, tmp_path: Path) -> None:
    result = result_of(run(tmp_path / "chain", select_spec(), parents=better))
    first, second = result["selection"]["steps"]
    assert (first["candidate"], first["student"]) == ("teacher", "student")
    assert (second["candidate"], second["student"], second["accepted"]) == ("assistant", "assisted", True)
    students = result_of(StageFolder(better["by_2"]))
    assert second["error"] == pytest.approx(1 - students["validation"]["best"]["accuracy"], abs=1 / 30)
    assert second["fall"] == pytest.approx(first["error"] - second["error"])
    assert second["fall"] > second["needed"] >= second["standard_error"]
    assert result["selection"]["images"] == 30
    assert {name: spent["epochs"] for name, spent in result["charged"]["stages"].items()} == {
        "assistant": 2, "student": 1, "assisted": 20,
    }  # fmt: skip
    assert result["charged"]["epochs"] == 23
    assert result["charged"]["seconds"] > 0


def test_a_step_that_saves_too_little_is_refused(run, better: dict[str, Path], tmp_path: Path) -> None:
    swapped = {**better, "by_1": better["by_2"], "by_2": better["by_1"]}
    folder = run(tmp_path / "chain", select_spec(), parents=swapped)
    assert result_of(folder)["selection"]["chosen"] == "teacher"
    assert (folder.path / BEST).read_bytes() == (better["of_1"] / BEST).read_bytes()


def test_no_test_image_is_read(better: dict[str, Path], tmp_path: Path, write_spec, monkeypatch) -> None:
    seen: list[int] = []
    images = DeviceStore.in_order

    def watched(store: DeviceStore, *arguments: int):
        seen.append(len(store))
        return images(store, *arguments)

    monkeypatch.setattr(DeviceStore, "in_order", watched)
    monkeypatch.setattr("kd.stages.stage_data.StageData.test_store", lambda data: pytest.fail("reads the test part"))
    run_stage(in_place(write_spec(tmp_path / "chain", select_spec()), parents=better))
    assert seen == [30, 30]


@pytest.mark.cpu  # equal bits without `deterministic`
def test_what_was_chosen_teaches_is_cached_and_is_exported_like_any_model(run, better, teacher, tmp_path: Path) -> None:
    chain = run(tmp_path / "chain", select_spec(), parents=better).path
    of_chain = run(tmp_path / "a", student_spec(epochs=1), parents={"teacher": chain})
    assert outcome(of_chain) == outcome(
        run(tmp_path / "b", student_spec(epochs=1), parents={"teacher": better["of_2"]})
    )
    assert result_of(of_chain)["teacher"]["stage"] == "chain"
    views = run(tmp_path / "views", cache_spec(), parents={"teacher": chain})
    assert result_of(views)["teacher"]["stage"] == "chain"
    exported = result_of(run(tmp_path / "file", export_spec("pt2"), parents={"of": chain}))
    assert exported["start"]["stage"] == "chain"


def test_a_stopped_selection_begins_again(run, better: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path / "chain", select_spec(), parents=better, stop_requested=stop_at(2))
    assert not (tmp_path / "chain/result.json").exists()
    assert result_of(run(tmp_path / "chain", select_spec(), parents=better))["selection"]["chosen"] == "assistant"


def test_an_unfinished_student_is_named(run, better: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.*has not finished"):
        run(tmp_path / "chain", select_spec(), parents={**better, "by_2": tmp_path / "nowhere"})
