"""Defaults, variants and grids of a job file: which stages they are, what each says, where a fault in one is placed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kd.jobfile.plan import plan_pipeline
from kd.jobfile.shorthand import matching, write_out
from kd.jobfile.source import parse_document
from kd.jobfile.stage import Pipeline

LoadText = Callable[..., Pipeline]
FaultsOf = Callable[..., Sequence[str]]

SWEEP = """\
pipeline: sweep
data: {name: digits, train_subset: 200, validation: 80}
seeds: [1, 2, 3, 4, 5]
resources: {gpus: 0, cpus: 1, memory: 2G, time: 10m}
defaults:
  epochs: 3
  batch_size: 32
  optimizer: {name: sgd, lr: 0.1}
stages:
  teacher: {kind: train, role: teacher, model: convnet}
  baseline: {kind: train, role: baseline, model: {name: convnet, width: 4}}
  distilled:
    kind: distill
    role: distilled
    teacher: teacher
    model: {name: convnet, width: 4}
    grid:
      loss: {kd: {ce: 0.1, kd: 0.9}, dkd: {ce: 1, dkd: 1}}
      loss.*.temperature: [1, 4, 8]
  report: {kind: report, compare: {"distilled.*": baseline}}
"""
SWEPT = [f"distilled.{loss}.temperature-{value}" for loss in ("kd", "dkd") for value in (1, 4, 8)]

VARIANTS = """\
pipeline: variants
data: {name: digits, train_subset: 200, validation: 80}
seeds: [1]
resources: {gpus: 0, cpus: 1, memory: 2G, time: 10m}
defaults: {epochs: 4, optimizer: {name: sgd, lr: 0.1}, batch_size: 32, distill: {loss: {ce: 0.5, kd: 0.5}}}
stages:
  teacher: {kind: train, model: convnet, epochs: 8}
  student:
    kind: distill
    teacher: teacher
    model: {name: convnet, width: 4}
    augment: {crop: 1}
    variants:
      plain:
      slow: {optimizer.lr: 0.01, epochs: 9}
      wide: {model.width: 8, augment: null}
"""


def stage(document_text: str, name: str) -> dict[str, Any]:
    """Return the keys of a stage once the document is written out."""
    found: dict[str, Any] = write_out(parse_document(document_text, "job.yaml")).data["stages"][name]
    return found


def test_a_sweep_of_three_temperatures_and_two_losses_takes_twenty_lines(load_text: LoadText) -> None:
    job = load_text(text=SWEEP)
    assert list(job.stages) == ["teacher", "baseline", *SWEPT, "report"]
    assert len(SWEEP.splitlines()) <= 25
    assert len(plan_pipeline(job).jobs) == 8 * 5 + 1


def test_each_combination_of_a_grid_has_its_own_values() -> None:
    assert stage(SWEEP, "distilled.kd.temperature-4")["loss"] == {"ce": 0.1, "kd": {"weight": 0.9, "temperature": 4}}
    assert stage(SWEEP, "distilled.dkd.temperature-8")["loss"] == {"ce": 1, "dkd": {"weight": 1, "temperature": 8}}


def test_a_pattern_in_compare_is_every_stage_that_it_fits(load_text: LoadText) -> None:
    assert plan_pipeline(load_text(text=SWEEP)).comparisons == {name: ["baseline"] for name in SWEPT}


def test_a_variant_changes_what_it_names_and_nothing_else() -> None:
    plain = stage(VARIANTS, "student.plain")
    assert plain == {
        "epochs": 4, "optimizer": {"name": "sgd", "lr": 0.1}, "batch_size": 32, "loss": {"ce": 0.5, "kd": 0.5},
        "kind": "distill", "teacher": "teacher", "model": {"name": "convnet", "width": 4}, "augment": {"crop": 1},
    }  # fmt: skip
    assert stage(VARIANTS, "student.slow") == plain | {"epochs": 9, "optimizer": {"name": "sgd", "lr": 0.01}}
    wide = stage(VARIANTS, "student.wide")
    assert wide["model"] == {"name": "convnet", "width": 8}
    assert "augment" not in wide


def test_a_stage_wins_over_the_defaults_and_a_kinds_defaults_reach_only_that_kind() -> None:
    teacher = stage(VARIANTS, "teacher")
    assert teacher["epochs"] == 8
    assert "loss" not in teacher


def test_written_out_stages_have_the_fingerprints_of_stages_written_by_hand(load_text: LoadText) -> None:
    by_hand = """\
pipeline: variants
data: {name: digits, train_subset: 200, validation: 80}
seeds: [1]
resources: {gpus: 0, cpus: 1, memory: 2G, time: 10m}
stages:
  teacher: {kind: train, model: convnet, epochs: 8, optimizer: {name: sgd, lr: 0.1}, batch_size: 32}
  student: {kind: distill, teacher: teacher, model: {name: convnet, width: 4}, augment: {crop: 1}, epochs: 9,
    optimizer: {name: sgd, lr: 0.01}, batch_size: 32, loss: {ce: 0.5, kd: 0.5}}
"""
    short = {planned.key.stage: planned.fingerprint for planned in plan_pipeline(load_text(text=VARIANTS)).jobs}
    whole = {planned.key.stage: planned.fingerprint for planned in plan_pipeline(load_text(text=by_hand)).jobs}
    assert (short["teacher"], short["student.slow"]) == (whole["teacher"], whole["student"])


@pytest.mark.parametrize(
    ("replaced", "line"),
    [
        (("epochs: 9", "epoch: 9"), "job.yaml:15:34: unknown key 'epoch' (did you mean 'epochs'?)"),
        (("optimizer.lr: 0.01", "optimizer.lr: -1"), "job.yaml:15:14: lr: expected a number above 0, got -1"),
        (("{epochs: 4", "{epochs: x"), "job.yaml:5:12: epochs: expected a whole number, got 'x'"),
        (("plain:", "plain: 3"), "job.yaml:14:7: plain: expected what this variant changes of the stage, got 3"),
        (("plain:", "pl.ain:"), "job.yaml:14:7: pl.ain: expected a name of letters, digits, '_' and '-'"),
        (("plain:", "plain: {kind: train}"), "job.yaml:14:15: a variant has the kind of its stage"),
        (("{epochs: 4", "{seeds: [1], epochs: 4"), "job.yaml:5:12: 'seeds' cannot be a default"),
        (("    variants:\n", "    variants: 3\n    other:\n"), "job.yaml:13:5: variants: expected names"),
    ],
)
def test_a_fault_is_placed_where_it_is_written(replaced: tuple[str, str], line: str, faults_of: FaultsOf) -> None:
    assert faults_of(text=VARIANTS, replaced=replaced)[0].startswith(line)


@pytest.mark.parametrize(
    ("replaced", "line"),
    [
        (("[1, 4, 8]", "[1, {a: 1}]"), "job.yaml:19:31: loss.*.temperature: {'a': 1} gives a stage no name"),
        (("[1, 4, 8]", "[]"), "job.yaml:19:7: loss.*.temperature: expected a list of values, or names"),
        (("loss.*.temperature", "loss.*.temprature"), "no term of this stage's loss takes 'temprature'"),
        (("loss.*.temperature", "loss.kd.*"), "'*' stands for the terms of a loss only"),
        (("[1, 4, 8]", "[1, 4, 1]"), "job.yaml:12:3: two stages would be called 'distilled.kd.temperature-1'"),
        (("[1, 4, 8]", str(list(range(1, 600)))), "1,198 variants of one stage; 1,000 are allowed"),
        (('"distilled.*"', '"destilled.*"'), "no stage is called 'destilled.*'"),
        (("teacher: teacher\n", "teacher: distilled\n"), "unknown stage 'distilled'"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_in_words(replaced: tuple[str, str], line: str, faults_of: FaultsOf) -> None:
    assert line in faults_of(text=SWEEP, replaced=replaced)[0]


def test_a_key_of_an_alias_is_placed_at_the_alias(faults_of: FaultsOf) -> None:
    text = VARIANTS.replace("    variants:\n", "    variants: &all\n") + (
        "  other: {kind: distill, teacher: teacher, model: convnet, epochs: x, variants: *all}\n"
    )
    assert "job.yaml:17:60: epochs: expected a whole number, got 'x'" in faults_of(text=text)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("teacher", ["teacher"]),
        ("student", ["student.a", "student.b"]),
        ("student.*", ["student.a", "student.b"]),
        ("*er", ["teacher"]),
        ("stud", []),
        ("nothing.*", []),
    ],
)
def test_a_name_means_a_stage_its_variants_or_all_that_a_pattern_fits(wanted: str, found: list[str]) -> None:
    assert matching(["teacher", "student.a", "student.b"], wanted) == found
