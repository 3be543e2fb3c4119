"""Order and cycles of stages, on chains long enough to overflow a recursive reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest

from kd.jobfile.graph import cycle, in_order, references
from kd.jobfile.stage import Pipeline

JobOf = Callable[[Mapping[str, str | list[str] | None]], Pipeline]


@pytest.fixture
def job_of() -> JobOf:
    """Build an unchecked job from ``stage -> its teacher`` (None: it trains alone; 'report': it reports)."""

    def build(teachers: Mapping[str, str | list[str] | None]) -> Pipeline:
        training = {"model": "convnet", "epochs": 1, "optimizer": {"name": "sgd", "lr": 1}}
        stages = {
            name: {"kind": "report"} if teacher == "report"
            else {"kind": "train", **training} if teacher is None
            else {"kind": "distill", "teacher": teacher, "loss": {"kd": 1}, **training}
            for name, teacher in teachers.items()
        }  # fmt: skip
        data = {"name": "digits", "validation": 9}
        return Pipeline.model_validate({"pipeline": "x", "data": data, "seeds": [1], "stages": stages})

    return build


@pytest.mark.parametrize(
    ("teachers", "order"),
    [
        ({"b": None, "a": None}, ["b", "a"]),
        ({"r": "report", "s": "t", "b": None, "t": None}, ["t", "s", "b", "r"]),
        ({"c": "b", "b": "a", "a": None}, ["a", "b", "c"]),
        ({"x": "t", "r": "report", "y": "t", "t": None, "q": "report"}, ["t", "x", "y", "r", "q"]),
    ],
)
def test_teachers_come_first_reports_last_others_as_written(
    teachers: Mapping[str, str | None], order: list[str], job_of: JobOf
) -> None:
    job = job_of(teachers)
    assert in_order(job) == order
    assert cycle(job) == []


@pytest.mark.parametrize(
    ("teachers", "stages"),
    [
        ({"a": "a"}, ["a"]),
        ({"a": "b", "b": "a"}, ["a", "b"]),
        ({"leads_in": "a", "a": "b", "b": "c", "c": "a"}, ["a", "b", "c"]),
        ({"fine": None, "pupil": "fine", "x": "y", "y": "x"}, ["x", "y"]),
        ({"a": "missing"}, []),
    ],
)
def test_a_cycle_is_named_in_the_order_of_waiting(
    teachers: Mapping[str, str | None], stages: list[str], job_of: JobOf
) -> None:
    assert cycle(job_of(teachers)) == stages


def test_a_chain_of_thousands_of_stages_is_ordered(job_of: JobOf) -> None:
    names = [f"s{index}" for index in range(3000)]
    teachers: dict[str, str | None] = dict(zip(reversed(names), [*reversed(names[:-1]), None], strict=True))
    job = job_of(teachers)
    assert in_order(job) == names
    assert cycle(job) == []
    assert len(cycle(job_of({**teachers, "s0": names[-1]}))) == 3000


def test_all_of_several_teachers_come_first_and_close_cycles(job_of: JobOf) -> None:
    job = job_of({"s": ["b", "a"], "a": "c", "b": None, "c": None})
    assert in_order(job) == ["b", "c", "a", "s"]
    assert references(job, "s") == {"teacher_1": "b", "teacher_2": "a"}
    assert references(job, "a") == {"teacher": "c"}
    assert cycle(job) == []
    assert cycle(job_of({"s": ["b", "a"], "a": ["b", "c"], "b": None, "c": "s"})) == ["s", "a", "c"]


def test_shared_teachers_of_many_layers_are_walked_once(job_of: JobOf) -> None:
    layers = [(f"a{index}", f"b{index}") for index in range(300)]
    teachers: dict[str, str | list[str] | None] = dict.fromkeys(layers[0])
    for below, (first, second) in pairwise(layers):
        teachers |= {first: list(below), second: list(below)}
    job = job_of(dict(reversed(teachers.items())))
    assert cycle(job) == []
    assert sorted(in_order(job), key=lambda name: int(name[1:])) == in_order(job)
