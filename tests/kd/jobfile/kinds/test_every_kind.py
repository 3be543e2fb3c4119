"""Every stage kind is whole: what a kind must tell and have, tried on the example in its own file.

A new file in ``kd/jobfile/kinds`` is picked up here by its name; CONTRIBUTING.md has the steps of adding one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, PlannedJob, plan_pipeline
from kd.jobfile.stage import Pipeline, Stage, stage_kinds
from kd.jobfile.versions import VERSIONS
from kd.report.collect import UNMEASURED
from kd.rundir.folders import JobKey
from kd.rundir.stage_spec import SETTINGS, spec_from_json
from tests.conftest import REPOSITORY

KINDS = sorted(file.stem for file in (REPOSITORY / "kd/jobfile/kinds").glob("[!_]*.py"))
TRAINING = {"model": "convnet", "epochs": 2, "optimizer": {"name": "sgd", "lr": 0.1}}
LOSS = {"ce": 0.5, "kd": 0.5}
# the stages that an example may name
AROUND = {
    "teacher": {"kind": "train", **TRAINING},
    "assistant": {"kind": "distill", "teacher": "teacher", "loss": LOSS, **TRAINING},
    "student": {"kind": "distill", "teacher": "teacher", "loss": LOSS, **TRAINING},
    "assisted": {"kind": "distill", "teacher": "assistant", "loss": LOSS, **TRAINING},
}
TRIED = "tried"  # the name of the stage that is an example
# keys of a stage that no settings hold: what every stage has, what planning uses up, and a switch of the checks
NOT_SETTINGS = {
    "about", "resources", "kind", "role", "seeds", "data", "start", "configuration", "free_weights",
}  # fmt: skip

Load = Callable[..., Pipeline]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the stages that examples name, with a stage of a kind beside them; ``changes`` replace keys of it."""

    def loaded(stage: Mapping[str, Any], *, tiny: bool = False, around: Mapping[str, Any] | None = None) -> Pipeline:
        path, file = tmp_path / "job.yaml", tmp_path / "weights.pth"
        if "file" in stage:  # an example's is not there
            file.touch()
            stage = {**stage, "file": str(file)}
        content = {
            "pipeline": "test",
            "data": {"name": "digits", "validation": 100},
            "seeds": [1, 2],
            "stages": {**(around or AROUND), TRIED: stage},
        }
        path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None), encoding="utf-8")
        return load_pipeline(str(path), tiny=tiny)

    return loaded


def example(kind: str) -> dict[str, Any]:
    return json.loads(json.dumps(stage_kinds()[kind].example))


def stages_named(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (where, stage) for every stage around that an example names."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from stages_named(inside, (*path, key))
    elif isinstance(value, list):
        for index, inside in enumerate(value):
            yield from stages_named(inside, (*path, index))
    elif value in AROUND:
        yield path, str(value)


def with_value(stage: dict[str, Any], path: Sequence[str | int], value: Any) -> dict[str, Any]:
    inside: Any = stage
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return stage


def tried(plan: Plan) -> list[PlannedJob]:
    return plan.by_stage()[TRIED]


def keys_of_references(stage: Stage, pipeline: Pipeline) -> set[str]:
    return {stage.key_of(reference) for reference in stage.references(pipeline)}


def test_every_file_is_a_kind_and_its_class_tells_all() -> None:
    """``stage_kinds`` itself refuses a class without one of the abstract methods, its traits or its example."""
    assert list(stage_kinds()) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_code_that_runs_it(kind: str) -> None:
    assert find_spec(f"kd.stages.{kind}"), f"write kd/stages/{kind}.py with run(context, spec)"
    assert callable(import_module(f"kd.stages.{kind}").run)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_settings_of_a_type_and_layers_of_code(kind: str) -> None:
    assert kind in SETTINGS, "add the type of its settings to SETTINGS in kd/rundir/stage_spec.py"
    layers = stage_kinds()[kind].traits.layers
    assert layers, "without a layer of code, a changed kd would not run the stage again"
    assert set(layers) <= set(VERSIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_documented(kind: str) -> None:
    page = (REPOSITORY / "docs/job_files.md").read_text(encoding="utf-8")
    assert f"\n| `{kind}` | " in page, "add a row to the table of stage kinds in docs/job_files.md"


@pytest.mark.parametrize("kind", KINDS)
def test_editors_know_a_kind(kind: str) -> None:
    schema = json.loads((REPOSITORY / "jobs/schema.json").read_text(encoding="utf-8"))
    known = [part["properties"]["kind"]["const"] for part in schema["$defs"].values() if _is_stage(part)]
    assert kind in known, "renew it: python -m kd.jobfile.json_schema > jobs/schema.json"


def _is_stage(definition: Mapping[str, Any]) -> bool:
    return "const" in definition.get("properties", {}).get("kind", {})


@pytest.mark.parametrize("tiny", [False, True], ids=["whole", "tiny"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_example_is_planned_after_all_that_it_names(kind: str, tiny: bool, load: Load) -> None:
    pipeline = load(example(kind), tiny=tiny)
    plan, stage = plan_pipeline(pipeline), pipeline.stages[TRIED]
    references = stage.references(pipeline)
    named = {name for _, name in stages_named(example(kind))}
    if not stage.traits.waits_for_all_ended:
        assert named - set(references.values()) <= {stage.follows()}, "references() must hold every stage it names"
    places = {job.key: index for index, job in enumerate(plan.jobs)}
    for job in tried(plan):
        assert {reference: parent.stage for reference, parent in job.parents.items()} == references
        assert {parent.stage for parent in plan.parents_of(job)} >= set(references.values())
        assert all(places[parent] < places[job.key] for parent in plan.parents_of(job))


@pytest.mark.parametrize("tiny", [False, True], ids=["whole", "tiny"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_is_read_as_it_was_written(kind: str, tiny: bool, load: Load) -> None:
    for job in tried(plan_pipeline(load(example(kind), tiny=tiny))):
        assert type(job.spec.settings) is SETTINGS[kind]
        assert spec_from_json(json.loads(json.dumps(job.spec.to_json()))) == job.spec


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiny_stage_takes_minutes_and_is_tiny_already(kind: str, load: Load) -> None:
    plain = {**example(kind), "resources": {"time": "24h"}}
    tiny = load(plain, tiny=True)
    shrunk = tiny.stages[TRIED]
    if not shrunk.traits.waits_for_all_ended:
        assert all(job.needs.minutes <= 10 for job in tried(plan_pipeline(tiny))), "shrink its resources too"
    again = shrunk.shrunk(tiny, tiny.seeds)
    assert again.references(tiny) == shrunk.references(tiny) == load(plain).stages[TRIED].references(tiny)
    for count in ("epochs", "trials", "views", "calibration_batches"):
        assert getattr(again, count, 0) == getattr(shrunk, count, 0) <= 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistyped_stage_is_one_line_with_its_place(kind: str, load: Load) -> None:
    for path, name in stages_named(example(kind)):
        broken = with_value(example(kind), path, name[:-1])
        with pytest.raises(SpecError) as caught:
            load(broken)
        (line,) = caught.value.lines
        assert f"unknown stage '{name[:-1]}' (did you mean '{name}'?)" in line
        row, column = map(int, line.partition("job.yaml:")[2].split(":")[:2])
        text = (Path(line.partition("job.yaml:")[0]) / "job.yaml").read_text(encoding="utf-8").splitlines()
        assert name[:-1] in text[row - 1][column - 1 :], line


@pytest.mark.parametrize("kind", KINDS)
def test_what_trains_no_model_is_refused_or_not_needed(kind: str, load: Load) -> None:
    """A report in the place of each stage that an example names: a line, and no traceback from planning."""
    for path, _ in stages_named(example(kind)):
        with pytest.raises(SpecError) as caught:
            load(with_value(example(kind), path, "last"), around={**AROUND, "last": {"kind": "report"}})
        assert "stage 'last' " in "\n".join(caught.value.lines)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_has_the_seeds_of_its_parents_or_a_line_names_the_seed(kind: str, load: Load) -> None:
    around = {name: {**stage, "seeds": [7, 8]} for name, stage in AROUND.items()}
    try:
        found = [*tried(plan_pipeline(load(example(kind), around=around)))]
    except SpecError as error:
        found = list(error.lines)
    assert all("has no seed 1" in each if isinstance(each, str) else _same_seed(each) for each in found)


def _same_seed(job: PlannedJob) -> bool:
    return all(parent.seed == job.key.seed for parent in job.parents.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_stages_own_role_seeds_and_data_count(kind: str, load: Load) -> None:
    given = {"role": "special", "seeds": [1], "data": {"name": "digits", "validation": 77}}
    fields = [field for field in given if field in stage_kinds()[kind].model_fields]
    stage = {**example(kind), **{field: given[field] for field in fields if field != "data"}}
    jobs = tried(plan_pipeline(load(stage)))
    role = "special" if "role" in fields else None
    assert all(job.role == role for job in jobs), "own() must give the stage's role, seeds and data"
    if "seeds" in fields:
        assert [job.key for job in jobs] == [JobKey(TRIED, 1)]
    if "data" in fields:
        jobs = tried(plan_pipeline(load({**stage, "data": given["data"]})))
        assert {job.spec.data.validation for job in jobs} == {77}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_without_data_of_its_own_has_that_of_the_stage_it_follows(kind: str, load: Load) -> None:
    if "data" in stage_kinds()[kind].model_fields or not list(stages_named(example(kind))):
        return
    around = {name: {**stage, "data": {"name": "digits", "validation": 77}} for name, stage in AROUND.items()}
    pipeline = load(example(kind), around=around)
    if not pipeline.stages[TRIED].traits.waits_for_all_ended:
        found = {job.spec.data.validation for job in tried(plan_pipeline(pipeline)) if job.spec.data}
        assert found == {77}, "follows() must return the stage whose seeds and data are this one's too"


@pytest.mark.parametrize("kind", KINDS)
def test_no_key_of_a_stage_is_forgotten_in_its_settings(kind: str, load: Load) -> None:
    pipeline = load(example(kind))
    stage = pipeline.stages[TRIED]
    references = keys_of_references(stage, pipeline)
    settings = set(SETTINGS[kind].__struct_fields__)
    forgotten = set(type(stage).model_fields) - settings - references - NOT_SETTINGS
    assert not forgotten - {"memory"}, "settings() must hold every key that decides what the stage does"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_version_of_its_code_is_another_job(kind: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = load(example(kind))
    before = [job.fingerprint for job in tried(plan_pipeline(pipeline))]
    for layer in stage_kinds()[kind].traits.layers:
        with monkeypatch.context() as patch:
            patch.setitem(VERSIONS, layer, 1000)
            assert not set(before) & {job.fingerprint for job in tried(plan_pipeline(pipeline))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_shows_the_kinds_that_measure_an_accuracy(kind: str) -> None:
    traits = stage_kinds()[kind].traits
    hidden = kind in UNMEASURED or traits.waits_for_all_ended
    assert hidden is not traits.measures_accuracy, (
        "name kinds without an accuracy in UNMEASURED of kd/report/collect.py"
    )
