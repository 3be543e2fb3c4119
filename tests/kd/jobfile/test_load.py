"""Loading: several faults at once in file order, one line per mistake, and overrides on top."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from kd.errors import SpecError
from kd.jobfile.kinds.cache import CacheStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.stage import Pipeline
from tests.kd.jobfile.conftest import TEXT

FaultsOf = Callable[..., Sequence[str]]
LoadText = Callable[..., Pipeline]


def test_faults_come_in_the_order_of_the_file(faults_of: FaultsOf) -> None:
    lines = faults_of(text="stages:\n  a: {kind: train, epoch: 1, model: 3}\nseeds: [-1]\npipeline: x y\n")
    places = [tuple(map(int, line.split(":")[1:3])) for line in lines]
    assert places == sorted(places)
    assert [line.rpartition(": ")[2] for line in lines] == [
        "'data' is missing",
        "'optimizer' is missing",
        "unknown key 'epoch' (did you mean 'epochs'?)",
        "expected keys and values, got 3",
        "expected at least 0, got -1",
        "expected a name of letters, digits, '_', '-' and '.', starting with a letter or digit, got 'x y'",
    ]


def test_a_misspelt_key_is_one_fault_not_two(faults_of: FaultsOf) -> None:
    lines = faults_of(text="pipelin: x\ndata: {name: digits, validaton: 9}\nseeds: [1]\nstages: {a: {kind: report}}\n")
    assert lines == (
        "job.yaml:1:1: unknown key 'pipelin' (did you mean 'pipeline'?)",
        "job.yaml:2:22: unknown key 'validaton' (did you mean 'validation'?)",
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("resources={memry: 2G}", "unknown key 'memry' (did you mean 'memory'?)"),
        ("stages.teacher.resources={tim: 2h}", "unknown key 'tim' (did you mean 'time'?)"),
        ("stages.teacher.augment={flp: true}", "unknown key 'flp' (did you mean 'flip'?)"),
        ("stages.teacher.ema={decai: 0.9}", "unknown key 'decai' (did you mean 'decay'?)"),
        ("stages.teacher.model={nme: convnet}", "unknown key 'nme' (did you mean 'name'?)"),
        ("stages.student.loss.kd={wieght: 1}", "unknown key 'wieght' (did you mean 'weight'?)"),
    ],
)
def test_the_nearest_key_is_found_at_every_depth(override: str, message: str, faults_of: FaultsOf) -> None:
    assert faults_of(override) == (f"--set {override}: {message}",)


def test_a_stage_named_like_its_kind_keeps_its_positions(faults_of: FaultsOf) -> None:
    text = "pipeline: x\ndata: {name: digits, validation: 9}\nseeds: [1]\nstages:\n  train: {kind: train, train: 1}\n"
    assert "job.yaml:5:24: unknown key 'train'" in "\n".join(faults_of(text=text))


def test_a_key_that_looks_like_a_marker_is_named(faults_of: FaultsOf) -> None:
    text = "pipeline: x\ndata: {name: digits, validation: 9}\nseeds: [1]\nstages: {a: {kind: report, '[key]': 1}}\n"
    assert faults_of(text=text) == (
        "job.yaml:4:28: unknown key '[key]' (known: about, compare, expect, headline, kind, resources)",
    )


@pytest.mark.parametrize("kind", ["3", "[train]", "{a: b}", "null", "true", "''"])
def test_a_kind_that_is_no_text_ends_in_one_line(kind: str, faults_of: FaultsOf) -> None:
    text = f"pipeline: x\ndata: {{name: digits, validation: 9}}\nseeds: [1]\nstages: {{a: {{kind: {kind}}}}}\n"
    (line,) = faults_of(text=text)
    assert line.startswith("job.yaml:4:1")
    assert "kind" in line


def test_control_characters_of_keys_and_values_stay_on_one_line(faults_of: FaultsOf) -> None:
    lines = faults_of(text='pipeline: "a\\nb"\n"k\\ny\\e[2J": 1\n')
    assert all(line.isprintable() for line in lines)
    assert r"job.yaml:2:1: unknown key 'k\ny\x1b[2J'" in "\n".join(lines)


def test_overrides_and_seeds_come_from_the_command_line(load_text: LoadText) -> None:
    job = load_text(seeds=[7, 8, 9])
    assert job.seeds == [7, 8, 9]


def test_faults_of_seeds_name_the_option(faults_of: FaultsOf) -> None:
    assert faults_of(seeds=[5, 5]) == ("--seeds 5,5: seed 5 is given twice",)
    assert faults_of(seeds=[-1]) == ("--seeds -1: seeds: expected at least 0, got -1",)


def test_roots_are_absolute_and_read_the_environment(
    load_text: LoadText, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KD_DATA", "/big disk")
    monkeypatch.chdir(tmp_path)
    assert load_text("data.root=${KD_DATA}/x-${KD_DATA}").data.root == "/big disk/x-/big disk"
    assert load_text("data.root=images").data.root == str(tmp_path / "images")
    assert load_text("data.root=~/images").data.root == str(Path.home() / "images")
    assert load_text("data.root=~no such user/images").data.root == str(tmp_path / "~no such user/images")


def test_every_path_of_a_stage_is_made_absolute(
    load_text: LoadText, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KD_DATA", "/disk")
    job = load_text(
        "stages.cached={kind: cache, teacher: teacher, data: {name: digits, root: '${KD_DATA}/a', validation: 100}}",
        "stages.teacher.model={name: resnet18, pretrained: weights.pt}",
    )
    cached = job.stages["cached"]
    teacher = job.stages["teacher"]
    assert isinstance(cached, CacheStage)
    assert isinstance(teacher, TrainStage)
    assert cached.data is not None
    assert cached.data.root == "/disk/a"
    assert teacher.model.arguments == {"pretrained": str(tmp_path / "weights.pt")}


def test_a_tiny_job_needs_no_environment(load_text: LoadText, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KD_DATA", raising=False)
    assert load_text("data.root=${KD_DATA}/x", tiny=True).data.root is None


def test_each_unset_variable_is_a_fault(faults_of: FaultsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KD_A", raising=False)
    monkeypatch.setenv("KD_B", "")
    own = "stages.teacher.data={name: digits, validation: 9, root: '${KD_B}'}"
    lines = faults_of("data.root=${KD_A}", own)
    assert [line.partition(" is not set")[0] for line in lines] == [
        "--set data.root=${KD_A}: the environment variable KD_A",
        f"--set {own}: the environment variable KD_B",
    ]


@pytest.mark.parametrize("name", ["no_such_job", "jobs/cnn_pipelin.yaml", "", "\0", "x" * 5000])
def test_a_job_file_that_is_not_there_ends_in_one_line(name: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_pipeline(name)
    assert len(caught.value.lines) == 1


def test_the_main_job_file_is_the_lab_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_DATA", "/data")
    job = load_pipeline("cnn_pipeline", seeds=[42])
    assert job.data.root == os.path.join("/data", "cifar10")
    trained = {name: stage for name, stage in job.stages.items() if isinstance(stage, TrainStage)}
    assert {name: stage.epochs for name, stage in trained.items()} == {
        "teacher": 300,
        "baseline": 200,
        "distilled": 200,
    }
    assert trained["teacher"].schedule.arguments["milestones"] == [150, 225, 275]
    assert {name: term.weight for name, term in trained["distilled"].loss.items()} == {"ce": 0.5, "kd": 0.5}
    assert trained["distilled"].loss["kd"].arguments == {"temperature": 4}


def test_a_preview_takes_a_variable_that_is_not_set_as_it_stands(
    load_text: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KD_NOWHERE", raising=False)
    text = TEXT.replace("{name: digits,", '{name: cifar10, root: "${KD_NOWHERE}/cifar10",')
    unset: set[str] = set()
    assert load_text(text=text, unset=unset).data.root == "${KD_NOWHERE}/cifar10"
    assert unset == {"KD_NOWHERE"}
    with pytest.raises(SpecError, match="KD_NOWHERE is not set"):
        load_text(text=text)


@pytest.mark.parametrize("written", ["none", "{name: none, warmup: 1}"])
def test_no_schedule_is_the_constant_one(written: str, load_text: LoadText) -> None:
    schedule = load_text(f"stages.teacher.schedule={written}").stages["teacher"].schedule
    assert schedule.name == "constant"
    plans = [plan_pipeline(load_text(f"stages.teacher.schedule={word}")) for word in ("none", "constant")]
    assert plans[0] == plans[1]
