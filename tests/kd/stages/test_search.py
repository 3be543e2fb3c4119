"""A search: trials within its budget, a choice on validation images that no kill changes, and who uses it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kd.errors import CheckpointError
from kd.files import sha256_file
from kd.hashed_copy import copy_hashed
from kd.run import run_stage
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import TrainSettings
from kd.search.space import with_configuration
from kd.stages.context import Interrupted, in_place
from kd.stages.training.fit_stage import train_model
from kd.train.meter import TrainingDiverged
from tests.kd.conftest import damaged, make_spec
from tests.kd.stages.training.test_fit_stage import Killed, outcome, stop_at

LEARNING_RATES = {"low": 0.005, "high": 0.2, "log": True, "whole": False}
SHARED = {"low": 0.3, "high": 0.9, "log": False, "whole": False, "partner": "loss.ce.weight"}
SPACES = {
    "train": {"optimizer.lr": LEARNING_RATES},
    "distill": {
        "optimizer.lr": LEARNING_RATES,
        "loss.kd.temperature": {"choices": [2.0, 8.0]},
        "loss.kd.weight": SHARED,
    },
}
TRIALS, EPOCHS, STEPS = 4, 3, 4  # 4 configurations of one epoch, the best one and the default of three
ALL_STEPS = (4 * 1 + 2 * 3) * STEPS


def search_spec(kind: str = "distill", *, memory: int = 0, **changes: Any) -> dict:
    """Return the spec of a search for the student that ``make_spec`` makes."""
    searched = make_spec("student", kind=kind)
    settings = {
        "for": "student", "kind": kind, "training": searched["settings"],
        "trials": TRIALS, "epochs": EPOCHS, "space": SPACES[kind], **changes,
    }  # fmt: skip
    named = {f"memory_{number}": {"stage": "other", "seed": 7, "fingerprint": "m"} for number in range(1, memory + 1)}
    parents = {**searched["parents"], **named}
    return {**searched, "stage": "its_search", "kind": "search", "role": None, "parents": parents, "settings": settings}


def configured(settings: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return settings of a spec.json with a configuration's values in their places."""
    changed: dict[str, Any] = msgspec.to_builtins(with_configuration(msgspec.convert(settings, TrainSettings), values))
    return changed


def chosen(folder: StageFolder) -> dict[str, Any]:
    """Return everything about a finished search that may not depend on how often it was interrupted."""
    result = json.loads(folder.result.read_text())
    for trial in [*result["trials"], result["best"], result["default"]]:
        del trial["seconds"]
    return {key: result[key] for key in ("best", "default", "trials", "validation", "epochs", "features", "remembered")}


@pytest.fixture(autouse=True)
def uncollected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare these tiny trials the collection of all garbage after each."""
    monkeypatch.setattr("kd.stages.searching.short_training.free_memory", lambda: None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searches")


@pytest.fixture
def searched(run, teacher: Path, shared: Path) -> Callable[[str], StageFolder]:
    """Return a finished search for a stage of a kind; each is made once."""

    def of(kind: str) -> StageFolder:
        folder = StageFolder(shared / kind)
        if not folder.result.exists():
            run(folder.path, search_spec(kind), parents={"teacher": teacher} if kind == "distill" else {})
        return folder

    return of


@pytest.mark.parametrize("kind", ["train", "distill"])
def test_a_search_tries_the_default_first_and_keeps_its_budget(searched, kind: str) -> None:
    folder = searched(kind)
    result = json.loads(folder.result.read_text())
    assert [(trial["number"], trial["epochs"]) for trial in result["trials"][:TRIALS]] == [(n, 1) for n in (1, 2, 3, 4)]
    longest = result["trials"][TRIALS:]
    assert [trial["epochs"] for trial in longest] == [EPOCHS] * 2
    assert longest[0] == result["default"]
    assert result["default"]["number"] == 1
    assert result["default"]["configuration"]["optimizer.lr"] == 0.05
    assert result["best"] == max(longest, key=lambda trial: (trial["score"], -trial["loss"]))
    assert result["epochs"] == 10
    assert sum(trial["seconds"] for trial in result["trials"]) < result["seconds"]["total"]
    tried = [trial["configuration"] for trial in result["trials"][:TRIALS]]
    assert len({json.dumps(configuration) for configuration in tried}) == TRIALS
    assert damaged(folder) == []
    assert [path.name for path in folder.path.iterdir() if path.is_dir()] == ["checkpoint"], "no trial is left"


def test_weights_that_share_one_stay_so(searched) -> None:
    result = json.loads(searched("distill").result.read_text())
    pairs = [
        (trial["configuration"]["loss.ce.weight"], trial["configuration"]["loss.kd.weight"])
        for trial in result["trials"]
    ]
    assert len(set(pairs)) == TRIALS
    assert all(ce + kd == pytest.approx(1) for ce, kd in pairs)


def test_what_is_known_of_the_task_is_recorded(searched) -> None:
    features = json.loads(searched("distill").result.read_text())["features"]
    assert features["log_images"] == pytest.approx(1.845, abs=1e-3)  # 70 images
    assert features["log_classes"] == pytest.approx(0.602, abs=1e-3)
    assert features["log_teacher_parameters"] > features["log_parameters"] > 0
    assert 0 < features["teacher_accuracy"] <= 1
    alone = json.loads(searched("train").result.read_text())["features"]
    assert (alone["teachers"], alone["log_teacher_parameters"], alone["teacher_accuracy"]) == (0, 0, 0)


def test_the_test_part_is_never_read(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("kd.stages.stage_data.StageData.test_store", refuse)
    result = json.loads(run(tmp_path / "it", search_spec("train", trials=2, epochs=1)).result.read_text())
    assert "test" not in result


@pytest.mark.parametrize("step", [1, STEPS, STEPS + 2, 4 * STEPS + 1, ALL_STEPS - 1])
def test_an_interrupted_search_repeats_no_step_and_chooses_the_same(
    run, searched, teacher: Path, tmp_path: Path, step: int
) -> None:
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    with pytest.raises(Interrupted):
        run(tmp_path / "it", search_spec(), parents={"teacher": teacher}, stop_requested=stop_at(step))
    assert not (tmp_path / "it/result.json").exists()
    folder = run(tmp_path / "it", search_spec(), parents={"teacher": teacher}, stop_requested=count)
    assert chosen(folder) == chosen(searched("distill"))
    assert asked == ALL_STEPS - step
    assert json.loads(folder.result.read_text())["attempts"] == 2


def test_a_killed_search_chooses_the_same(run, searched, teacher: Path, tmp_path: Path) -> None:
    for step in (2, STEPS + 1, 3 * STEPS, 2 * STEPS):
        with pytest.raises(Killed):
            run(tmp_path / "it", search_spec(), parents={"teacher": teacher}, stop_requested=stop_at(step, kill=True))
    folder = run(tmp_path / "it", search_spec(), parents={"teacher": teacher})
    assert chosen(folder) == chosen(searched("distill"))


def test_a_search_goes_on_from_what_was_published(run, searched, teacher: Path, tmp_path: Path, write_spec) -> None:
    folder = write_spec(tmp_path / "durable", search_spec())

    def attempt(work: Path, stop: Callable[[], bool]) -> None:
        def publish(names: list[str]) -> dict[str, str]:
            return {name: copy_hashed(work / name, folder.path / name) for name in names}

        context = in_place(folder, parents={"teacher": teacher}, stop_requested=stop)
        run_stage(replace(context, work=work, publish=publish))

    with pytest.raises(Interrupted):
        attempt(tmp_path / "first", stop_at(4 * STEPS + 6))
    shutil.copytree(folder.path, tmp_path / "second")
    attempt(tmp_path / "second", lambda: False)
    assert chosen(folder) == chosen(searched("distill"))
    assert not (folder.path / "trial").exists()
    assert damaged(folder) == []


@pytest.mark.cpu  # equal bits without `deterministic`
def test_a_stage_trains_with_what_its_search_chose(run, spec, searched, teacher: Path, tmp_path: Path) -> None:
    values = {"loss.kd.weight": 0.8, "loss.ce.weight": 0.2, "loss.kd.temperature": 8.0, "optimizer.lr": 0.02}
    result = json.loads(searched("distill").result.read_text())
    assert set(result["best"]["configuration"]) == set(values)
    result["best"]["configuration"] = values
    (tmp_path / "search").mkdir()
    (tmp_path / "search/result.json").write_text(json.dumps(result))
    by_hand = spec("student", kind="distill")
    by_hand["settings"] = configured(by_hand["settings"], values)
    expected = outcome(run(tmp_path / "by_hand", by_hand, parents={"teacher": teacher}))

    told = spec("student", kind="distill")
    told["parents"]["configuration"] = {"stage": "its_search", "seed": 7, "fingerprint": "s"}
    folder = run(tmp_path / "told", told, parents={"teacher": teacher, "configuration": tmp_path / "search"})
    assert outcome(folder) == expected
    recorded = json.loads(folder.result.read_text())["configuration"]
    assert recorded == {"stage": "its_search", "seed": 7, "epochs": 10, "values": values}

    default = outcome(run(tmp_path / "default", spec("student", kind="distill"), parents={"teacher": teacher}))
    assert default["rows"] != expected["rows"]


def test_a_stage_whose_search_has_not_finished_says_so(run, spec, tmp_path: Path) -> None:
    told = spec("student")
    told["parents"] = {"configuration": {"stage": "its_search", "seed": 7, "fingerprint": "s"}}
    with pytest.raises(CheckpointError, match=r"the search has no result\.json, so it has not finished"):
        run(tmp_path / "it", told, parents={"configuration": tmp_path / "nowhere"})


def test_five_remembered_trials_are_learned_from_and_fewer_are_not(
    run, searched, teacher: Path, tmp_path: Path
) -> None:
    surroundings = {"parents": {"teacher": teacher, "memory_1": searched("train").path}}
    first = run(tmp_path / "a", search_spec(memory=1), **surroundings)
    again = run(tmp_path / "b", search_spec(memory=1), **surroundings)
    assert chosen(first) == chosen(again)
    assert chosen(first)["remembered"] == TRIALS + 2
    configurations = [
        [trial["configuration"] for trial in chosen(each)["trials"][:TRIALS]] for each in (first, searched("distill"))
    ]
    assert configurations[0][0] == configurations[1][0], "the default"
    assert all(configuration not in configurations[1] for configuration in configurations[0][1:])

    few = run(tmp_path / "few", search_spec("train", trials=4, epochs=1))
    surroundings["parents"]["memory_1"] = few.path
    without = run(tmp_path / "c", search_spec(memory=1), **surroundings)
    assert chosen(without)["remembered"] == 4
    assert chosen(without)["trials"] == chosen(searched("distill"))["trials"]


def test_a_search_with_memory_that_was_killed_chooses_the_same(run, searched, teacher: Path, tmp_path: Path) -> None:
    surroundings = {"parents": {"teacher": teacher, "memory_1": searched("train").path}}
    spec = search_spec(memory=1, trials=3, epochs=1)
    whole = run(tmp_path / "whole", spec, **surroundings)
    with pytest.raises(Killed):
        run(tmp_path / "it", spec, stop_requested=stop_at(2 * STEPS + 1, kill=True), **surroundings)
    assert chosen(run(tmp_path / "it", spec, **surroundings)) == chosen(whole)


def test_a_trial_that_diverges_is_the_worst_and_not_the_end(run, tmp_path: Path) -> None:
    rates = {"optimizer.lr": {"choices": [0.05, 1e30]}}
    result = json.loads(run(tmp_path / "it", search_spec("train", space=rates, epochs=1)).result.read_text())
    assert [trial["score"] is None for trial in result["trials"]] == [False, True], "and two choices are two trials"
    assert result["best"] == result["default"]


def test_a_search_in_which_all_diverge_says_so(run, tmp_path: Path) -> None:
    spec = search_spec("train", space={"optimizer.lr": {"choices": [1e29, 1e30]}}, trials=3, epochs=1)
    spec["settings"]["training"] = configured(spec["settings"]["training"], {"optimizer.lr": 1e31})
    with pytest.raises(TrainingDiverged, match="every trial diverged"):
        run(tmp_path / "it", spec)


def test_a_short_trial_goes_through_the_whole_schedule(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []

    def note(context: Any, spec: dict, *rest: Any, **further: Any) -> Any:
        trained = train_model(context, spec, *rest, **further)
        seen.append([row["learning_rate"] for row in trained.training.rows])
        return trained

    monkeypatch.setattr("kd.stages.searching.short_training.train_model", note)
    spec = search_spec("train", trials=3)
    spec["settings"]["training"] = {
        **spec["settings"]["training"],
        "epochs": 30,
        "schedule": {"name": "multistep", "arguments": {"milestones": [10, 20]}},
    }
    run(tmp_path / "it", spec)
    assert [len(rates) for rates in seen] == [1, 1, 1, 3, 3]
    assert seen[0] == pytest.approx([0.0005])
    assert seen[3] == pytest.approx([0.05, 0.005, 0.0005])


def test_progress_counts_the_epochs_of_all_trials(searched) -> None:
    progress = json.loads(searched("train").progress.read_text())
    assert (progress["epoch"], progress["epochs"], progress["attempt"]) == (10, 10, 1)
    assert progress["metric"]["name"] == "val_accuracy"
    assert sha256_file(searched("train").checkpoint / "trials.json")


def test_trials_see_the_modalities_and_are_judged_by_the_metric_of_their_stage(run, tmp_path: Path) -> None:
    loss = {"bce": {"weight": 1.0, "arguments": {}}}
    spec = search_spec("train", trials=2, epochs=1)
    spec["data"] |= {"name": "synthetic_rgb_ir", "arguments": {"images": 100, "size": 16}}
    spec["settings"]["training"] = {**spec["settings"]["training"], "loss": loss, "modalities": ["ir"]}
    result = json.loads(run(tmp_path / "it", spec).result.read_text())
    assert result["metric"] == "f1_score"
    assert result["validation"]["best"]["f1_score"] == result["best"]["score"]
    assert result["features"]["log_pixels"] == pytest.approx(2.408, abs=1e-3)  # one channel of 16 x 16
    assert result["features"]["imbalance"] >= 1
