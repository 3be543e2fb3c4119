"""``--set``: values replaced anywhere in a job file, with faults placed at the option's own words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kd.jobfile.stage import Pipeline

FaultsOf = Callable[..., Sequence[str]]
LoadText = Callable[..., Pipeline]


@pytest.mark.parametrize(
    ("override", "address", "value"),
    [
        ("stages.teacher.epochs=9", ("stages", "teacher", "epochs"), 9),
        ("about='a: b = c'", ("about",), "a: b = c"),
        ("seeds=[4, 5]", ("seeds",), [4, 5]),
        ("seeds.1=9", ("seeds", 1), 9),
        ("stages.teacher.schedule.milestones.0=1", ("stages", "teacher", "schedule", "milestones"), [1, 3]),
        ("stages.teacher.model.width=4", ("stages", "teacher", "model"), {"name": "convnet", "width": 4}),
        ("stages.student.loss.ce.label_smoothing=.1", ("stages", "student", "loss", "ce"),
         {"weight": 0.5, "loss": None, "teacher": None, "label_smoothing": 0.1}),
        ("stages.student.loss.kd.temperature=2", ("stages", "student", "loss", "kd", "temperature"), 2),
        ("stages.teacher.augment.flip=true", ("stages", "teacher", "augment", "flip"), True),
        ("stages.teacher.resources.time=2h", ("stages", "teacher", "resources", "time"), "2h"),
        ("stages.extra={kind: report}", ("stages", "extra", "kind"), "report"),
        ("data.train_subset=", ("data", "train_subset"), None),
    ],
)  # fmt: skip
def test_a_value_is_replaced_wherever_it_stands(
    override: str, address: tuple[str | int, ...], value: Any, load_text: LoadText
) -> None:
    changed: Any = load_text(override).model_dump(mode="json")
    for part in address:
        changed = changed[part]
    assert changed == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected dotted.key=value, as in stages.teacher.epochs=10"),
        ("about=a: b", "about: expected text, got {'a': 'b'}"),
        ("=1", "expected dotted.key=value, as in stages.teacher.epochs=10"),
        ("a..b=1", "expected dotted.key=value, as in stages.teacher.epochs=10"),
        ("stages.techer.epochs=1", "unknown stage 'techer' (did you mean 'teacher'?)"),
        ("stages.teacher.epoch=1", "unknown key 'epoch' (did you mean 'epochs'?)"),
        ("stages.teacher.epochs=x", "epochs: expected a whole number, got 'x'"),
        ("stages.teacher.epochs.0=1", "'epochs' has no keys, it is 4"),
        ("stages.teacher.kind.x=1", "'kind' has no keys, it is 'train'"),
        ("seeds.5=1", "'seeds' is a list of 2; expected a number from 0, got '5'"),
        ("seeds.-1=1", "'seeds' is a list of 2; expected a number from 0, got '-1'"),
        ("seeds.first=1", "'seeds' is a list of 2; expected a number from 0, got 'first'"),
        ("resources.memory=12", "memory: expected an amount of memory such as 32G or 500M, got 12"),
        ("stages.teacher.model.widht=4", "model 'convnet' takes no 'widht' (did you mean 'width'?)"),
        ("data=!!python/name:os.system", "the tag '!!python/name:os.system' is not allowed: write the plain value"),
        ("resource.gpus=1", "unknown key 'resource' (did you mean 'resources'?)"),
    ],
)
def test_a_fault_is_placed_at_the_option(override: str, message: str, faults_of: FaultsOf) -> None:
    assert faults_of(override) == (f"--set {override}: {message}",)


def test_a_later_override_wins(load_text: LoadText) -> None:
    assert load_text("seeds=[1]", "seeds=[2, 3]", "seeds.0=4").seeds == [4, 3]


def test_unprintable_options_stay_on_one_line(faults_of: FaultsOf) -> None:
    (line,) = faults_of("about=a\n\x1b[2J: b")
    assert line.isprintable()


def test_other_faults_keep_their_places(faults_of: FaultsOf) -> None:
    lines = faults_of("stages.teacher.epochs=-1", replaced=("seeds: [1, 2]", "seeds: []"))
    assert lines == (
        "job.yaml:3:1: seeds: expected at least 1 entry, got []",
        "--set stages.teacher.epochs=-1: epochs: expected at least 0, got -1",
    )


VARIANTS = """\
pipeline: variants
data: {name: digits, validation: 100}
seeds: [1]
defaults: {epochs: 4, optimizer: {name: sgd, lr: 0.1}, batch_size: 32}
stages:
  teacher: {kind: train, model: convnet}
  student:
    kind: distill
    teacher: teacher
    model: convnet
    loss: {ce: 0.5, kd: 0.5}
    variants: {plain: null, hot: {loss.kd.temperature: 8}}
  file: {kind: export, of: teacher, format: onnx}
  report: {kind: report}
"""


@pytest.mark.parametrize(
    ("override", "epochs"),
    [
        ("stages.*.epochs=5", {"teacher": 5, "student.plain": 5, "student.hot": 5}),
        ("stages.student.epochs=5", {"teacher": 4, "student.plain": 5, "student.hot": 5}),
        ("stages.student.*.epochs=5", {"teacher": 4, "student.plain": 5, "student.hot": 5}),
        ("stages.student.hot.epochs=5", {"teacher": 4, "student.plain": 4, "student.hot": 5}),
        ("defaults.epochs=5", {"teacher": 5, "student.plain": 5, "student.hot": 5}),
        ("stages.student.variants.hot.epochs=5", {"teacher": 4, "student.plain": 4, "student.hot": 5}),
    ],
)
def test_one_override_reaches_all_stages_that_its_pattern_fits(
    override: str, epochs: dict[str, int], load_text: LoadText
) -> None:
    stages = load_text(override, text=VARIANTS).stages
    assert {name: stage.epochs for name, stage in stages.items() if hasattr(stage, "epochs")} == epochs


def test_a_pattern_that_fits_nothing_and_a_key_that_no_stage_has_are_refused(faults_of: FaultsOf) -> None:
    assert "unknown stage 'nobody'" in faults_of("stages.nobody.epochs=5", text=VARIANTS)[0]
    assert "no stage is called 'nobody*'" in faults_of("stages.nobody*.epochs=5", text=VARIANTS)[0]
    assert "unknown key 'epoch' (did you mean 'epochs'?)" in faults_of("stages.*.epoch=5", text=VARIANTS)[0]
