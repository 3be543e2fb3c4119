"""Whatever stands in a job file, it loads or ends in error lines; whatever loads, its plan is in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline, validate
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.source import Document, parse_document
from kd.jobfile.stage import Pipeline
from kd.jobfile.tiny import shrink
from tests.kd.jobfile.conftest import TEXT

PLAIN = parse_document(TEXT, "f").data
HOSTILE = (
    "\t", "\0", "'", '"', "{", "]", "*a", "&a", "!!int", "<<", "---", ": ", "- ", "# ", "\n", "\r", "ü", "\x85", "-1",
    "1e999", ".nan", "9" * 40, "null", "true", "${KD_NO_SUCH_VARIABLE}", "kind", "teacher", "[[[[[[",
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["teacher", "kd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
quick = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def addresses(data: Any, above: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the addresses of all values inside some data."""
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in parts for place in ((*above, key), *addresses(value, (*above, key)))]


def loads_or_explains(load: Any) -> None:
    """Run a loader: it returns a job that plans, or raises SpecError with printable lines that name a place."""
    lines: tuple[str, ...] = ()
    try:
        job = load()
        assert plan_pipeline(job).jobs
        assert plan_pipeline(shrink(job)).jobs
    except SpecError as error:
        lines = error.lines or ("no line at all",)
    assert all(line.isprintable() and ": " in line for line in lines)


@quick
@given(st.data())
def test_changed_text_loads_or_explains(tmp_path: Path, data: st.DataObject) -> None:
    text = TEXT
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.sampled_from([*HOSTILE, ""]) | st.text(max_size=3)) + text[end:]
    path = tmp_path / "job.yaml"
    path.write_bytes(text.encode(errors="replace"))
    loads_or_explains(lambda: load_pipeline(str(path)))


@quick
@given(st.binary(max_size=300))
def test_any_bytes_load_or_explain(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    loads_or_explains(lambda: load_pipeline(str(path)))


@quick
@given(st.sampled_from(addresses(PLAIN)), values)
def test_any_value_anywhere_loads_or_explains(address: tuple[str | int, ...], value: Any) -> None:
    data = json.loads(json.dumps(PLAIN))
    inside = data
    for part in address[:-1]:
        inside = inside[part]
    inside[address[-1]] = value
    loads_or_explains(lambda: validate(Document(name="f", data=data)))


@quick
@given(st.sampled_from(addresses(PLAIN)), st.text(max_size=8) | st.sampled_from(HOSTILE))
def test_any_override_loads_or_explains(tmp_path: Path, address: tuple[str | int, ...], text: str) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(TEXT)
    loads_or_explains(lambda: load_pipeline(str(path), overrides=[f"{'.'.join(map(str, address))}={text}"]))


@st.composite
def jobs(draw: st.DrawFn) -> Pipeline:
    """Any forest of teachers and students, written in any order, with reports anywhere."""
    seeds = draw(st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
    training = {"model": "convnet", "epochs": 1, "optimizer": {"name": "sgd", "lr": 1}}
    stages: dict[str, dict[str, Any]] = {}
    for index in range(draw(st.integers(1, 8))):
        single = draw(st.none() | st.sampled_from(seeds))
        stage: dict[str, Any] = {"kind": "train", **training, "seeds": [single] if single is not None else None}
        teachers = [name for name, other in stages.items() if other["kind"] != "report"]
        if teachers and draw(st.booleans()):
            stage |= {"kind": "distill", "teacher": draw(st.sampled_from(teachers)), "loss": {"kd": 1}}
        elif index and draw(st.integers(0, 5)) == 0:
            stage = {"kind": "report"}
        stages[f"s{index}"] = stage
    shuffled = draw(st.permutations(list(stages)))
    data = {"name": "digits", "validation": 9}
    return validate(
        Document(
            name="f",
            data={"pipeline": "x", "data": data, "seeds": seeds, "stages": {name: stages[name] for name in shuffled}},
        )
    )


@quick
@given(jobs())
def test_a_plan_is_in_order_and_whole(job: Pipeline) -> None:
    plan = plan_pipeline(job)
    keys = [planned.key for planned in plan.jobs]
    assert len(set(keys)) == len(keys)
    assert {key.stage for key in keys} == set(job.stages)
    for index, planned in enumerate(plan.jobs):
        assert set(plan.parents_of(planned)) <= set(keys[:index])
        for parent in planned.parents.values():
            siblings = [key for key in keys if key.stage == parent.stage]
            assert parent.seed == planned.key.seed or siblings == [parent]


@quick
@given(jobs())
def test_a_tiny_plan_has_the_same_edges_between_stages(job: Pipeline) -> None:
    edges = [
        {(planned.key.stage, parent.stage) for planned in plan.jobs for parent in plan.parents_of(planned)}
        for plan in (plan_pipeline(job), plan_pipeline(shrink(job)))
    ]
    assert edges[0] == edges[1]


@quick
@given(jobs())
def test_stages_written_in_another_order_have_the_same_fingerprints(job: Pipeline) -> None:
    other = job.model_copy(update={"stages": dict(reversed(job.stages.items())), "pipeline": "y"})
    first, second = (
        {planned.key: planned.fingerprint for planned in plan_pipeline(each).jobs} for each in (job, other)
    )
    assert first == second


@pytest.mark.parametrize("address", addresses(PLAIN), ids=lambda address: ".".join(map(str, address)))
def test_any_value_left_blank_loads_or_explains(address: tuple[str | int, ...]) -> None:
    data = json.loads(json.dumps(PLAIN))
    inside = data
    for part in address[:-1]:
        inside = inside[part]
    inside[address[-1]] = None
    loads_or_explains(lambda: validate(Document(name="f", data=data)))
