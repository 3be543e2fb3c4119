"""Two runs of one pipeline: what collapses and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import RunError
from kd.files import read_json, write_json
from kd.report.cells import Cell, read_run
from kd.report.merge import differing_settings, merge_cells
from tests.kd.report.builder import RunBuilder, three_stages


def merged(*builders: RunBuilder) -> list[Cell]:
    return merge_cells([cell for builder in builders for cell in read_run(builder.run.path).cells])


def test_seeds_of_two_runs_come_together_stage_by_stage(tmp_path: Path) -> None:
    one, two = three_stages(tmp_path / "one", [1]), three_stages(tmp_path / "two", [2])
    names = [(cell.key.stage, cell.key.seed) for cell in merged(one, two)]
    assert names == [(stage, seed) for stage in ("teacher", "baseline", "distilled") for seed in (1, 2)]


@pytest.mark.parametrize("finished_first", [True, False])
def test_of_two_equal_jobs_the_finished_one_stays(tmp_path: Path, finished_first: bool) -> None:
    done = three_stages(tmp_path / "done", [1]).finish("teacher", {1: 0.9})
    todo = three_stages(tmp_path / "todo", [1])
    cells = merged(done, todo) if finished_first else merged(todo, done)
    assert len(cells) == 3
    assert cells[0].run.name == "done"


def test_equal_results_of_equal_jobs_collapse(tmp_path: Path) -> None:
    runs = [three_stages(tmp_path / name, [1]).finish("teacher", {1: 0.9}) for name in ("one", "two")]
    assert len(merged(*runs)) == 3


def test_different_results_of_equal_jobs_are_refused_by_name(tmp_path: Path) -> None:
    one = three_stages(tmp_path / "one", [1]).finish("teacher", {1: 0.9})
    two = three_stages(tmp_path / "two", [1]).finish("teacher", {1: 0.8})
    with pytest.raises(RunError, match="teacher seed 1 has a different result in each") as caught:
        merged(one, two)
    assert str(one.folder("teacher", 1).path) in str(caught.value)
    assert str(two.folder("teacher", 1).path) in str(caught.value)


def test_a_stage_set_differently_is_refused_even_for_other_seeds(tmp_path: Path) -> None:
    one = RunBuilder(tmp_path / "one").stage("teacher", "teacher", [1], epochs=3)
    two = RunBuilder(tmp_path / "two").stage("teacher", "teacher", [2], epochs=200)
    with pytest.raises(RunError, match=r"teacher seed 2 is set differently in each \(settings.epochs\)"):
        merged(one, two)


def test_different_fingerprints_of_one_job_are_refused(tmp_path: Path) -> None:
    one, two = three_stages(tmp_path / "one", [1]), three_stages(tmp_path / "two", [1])
    plan = read_json(two.run.plan)
    plan["jobs"][0]["fingerprint"] = "0" * 32
    write_json(two.run.plan, plan)
    with pytest.raises(RunError, match="fingerprints differ"):
        merged(one, two)


def test_where_the_data_lies_and_how_often_is_saved_do_not_matter() -> None:
    one, two = ({"epochs": 3, "checkpoint_every": every} for every in (1, 9))
    assert differing_settings(one, two) == []
    here, there = ({"name": "digits", "root": root} for root in ("/a", "/b"))
    assert differing_settings(here, there, part="data", ignored=("root",)) == []


def test_differences_are_named_down_to_the_leaf() -> None:
    one, two = ({"optimizer": {"name": "sgd", "arguments": {"lr": lr}}} for lr in (0.1, 0.2))
    assert differing_settings(one, two) == ["settings.optimizer.arguments.lr"]
    assert differing_settings(one, two, ignored=("optimizer",)) == []
    assert differing_settings({"name": "digits"}, {"name": "mnist"}, part="data") == ["data.name"]
