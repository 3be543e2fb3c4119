"""The job graph: who waits for whom, what a job needs, and what does and does not change a fingerprint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kd.catalog import entries
from kd.jobfile.kinds.report import REPORT_NEEDS
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.resolve import TRAINING_NEEDS
from kd.jobfile.stage import Pipeline
from kd.jobfile.versions import DATA_SETS, VERSIONS
from kd.rundir.folders import JobKey
from kd.rundir.stage_spec import Needs, spec_from_json

LoadText = Callable[..., Pipeline]
STUDENT = JobKey("student", 1)
TEACHER = JobKey("teacher", 1)


def fingerprints(plan: Plan) -> dict[JobKey, str]:
    return {job.key: job.fingerprint for job in plan.jobs}


def test_stages_times_seeds_with_parents_first(load_text: LoadText) -> None:
    plan = plan_pipeline(load_text())
    assert [str(job.key) for job in plan.jobs] == [
        "teacher/seed-1", "teacher/seed-2", "student/seed-1", "student/seed-2", "report",
    ]  # fmt: skip
    jobs = {job.key: job for job in plan.jobs}
    assert jobs[STUDENT].parents == {"teacher": TEACHER}
    assert plan.parents_of(jobs[STUDENT]) == (TEACHER,)
    report = jobs[JobKey("report", None)]
    assert report.waits_for_all_ended
    assert set(plan.parents_of(report)) == set(jobs) - {report.key}
    assert list(plan.by_stage()) == ["teacher", "student", "report"]


def test_one_teacher_serves_all_seeds(load_text: LoadText) -> None:
    plan = plan_pipeline(load_text("stages.teacher.seeds=[7]"))
    students = [job for job in plan.jobs if job.key.stage == "student"]
    assert [job.parents["teacher"] for job in students] == [JobKey("teacher", 7)] * 2


def test_needs_come_from_stage_then_job_then_defaults(load_text: LoadText) -> None:
    plan = plan_pipeline(load_text("stages.student.resources={memory: 3G, time: 2h, gpu_type: A100}"))
    jobs = {job.key: job for job in plan.jobs}
    assert jobs[TEACHER].needs == Needs(
        gpus=0, cpus=TRAINING_NEEDS.cpus, memory_mb=2048, minutes=TRAINING_NEEDS.minutes
    )
    assert jobs[STUDENT].needs == Needs(gpus=0, cpus=TRAINING_NEEDS.cpus, memory_mb=3072, minutes=120, gpu_type="A100")
    assert jobs[JobKey("report", None)].needs == REPORT_NEEDS


@pytest.mark.parametrize(
    ("time", "minutes"), [("10m", 10), ("3d", REPORT_NEEDS.minutes), ("short", REPORT_NEEDS.minutes)]
)
def test_no_stage_asks_for_more_than_the_files_time(load_text: LoadText, time: str, minutes: int) -> None:
    plan = plan_pipeline(load_text(f"resources.time={time}"))
    (report,) = [job for job in plan.jobs if job.waits_for_all_ended]
    assert report.needs.minutes == minutes


def test_a_spec_says_all_that_a_job_does(load_text: LoadText) -> None:
    plan = plan_pipeline(load_text("stages.student.role=distilled"))
    (job,) = [job for job in plan.jobs if job.key == STUDENT]
    assert spec_from_json(json.loads(json.dumps(job.spec.to_json()))) == job.spec
    assert job.spec.to_json()["parents"] == {
        "teacher": {"stage": "teacher", "seed": 1, "fingerprint": fingerprints(plan)[TEACHER]}
    }
    assert job.spec.to_json()["role"] == "distilled"
    assert job.spec.to_json()["settings"]["optimizer"] == {
        "name": "sgd", "arguments": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False},
    }  # fmt: skip
    arguments = {"temperature": 4.0, "standardise": False}
    assert job.spec.to_json()["settings"]["loss"]["kd"] == {"weight": 0.5, "arguments": arguments}
    assert job.spec.to_json()["data"] == {
        "name": "digits", "root": None, "arguments": {}, "validation": 100, "train_subset": None, "test_subset": None,
    }  # fmt: skip
    assert job.spec.to_json()["resources"]["memory_mb"] == 2048


def test_plan_json_is_json(load_text: LoadText) -> None:
    stored = msgspec.to_builtins(plan_pipeline(load_text()).to_file())
    assert json.loads(json.dumps(stored)) == stored
    assert stored["jobs"][2]["parents"] == {"teacher": {"stage": "teacher", "seed": 1}}


@pytest.mark.parametrize(
    "override",
    [
        "pipeline=other", "about=other", "resources={gpus: 4, memory: 1G}", "stages.student.resources={time: 1h}",
        "stages.student.checkpoint_every=1", "stages.student.compile=true", "stages.student.about=other",
        "stages.student.role=other", "stages.student.optimizer.momentum=0.9", "stages.student.loss.kd.temperature=4.0",
        "stages.student.schedule=constant", "stages.student.loss={kd: {temperature: 4, weight: 0.5}, ce: 0.5}",
        "stages.student.free_weights=true", "seeds=[9, 1]", "stages.extra={kind: report}",
    ],
)  # fmt: skip
def test_what_leaves_the_result_leaves_the_fingerprint(override: str, load_text: LoadText) -> None:
    before, after = fingerprints(plan_pipeline(load_text())), fingerprints(plan_pipeline(load_text(override)))
    assert after[STUDENT] == before[STUDENT]
    assert after[TEACHER] == before[TEACHER]


@pytest.mark.parametrize(
    "override",
    [
        "stages.student.model.width=16", "stages.student.model=resnet8", "stages.student.epochs=5",
        "stages.student.batch_size=64", "stages.student.optimizer.lr=0.2", "stages.student.optimizer.name=adam",
        "stages.student.schedule=cosine", "stages.student.loss.kd.temperature=5",
        "stages.student.loss={ce: 0.4, kd: 0.6}", "stages.student.augment.flip=true", "stages.student.augment.crop=1",
        "stages.student.precision=float32", "stages.student.deterministic=true", "stages.student.no_decay=true",
        "stages.student.data={name: digits, validation: 101}",
        "stages.student.data={name: digits, validation: 100, test_subset: 9}",
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_the_fingerprint(override: str, load_text: LoadText) -> None:
    before, after = fingerprints(plan_pipeline(load_text())), fingerprints(plan_pipeline(load_text(override)))
    assert after[STUDENT] != before[STUDENT]
    assert after[TEACHER] == before[TEACHER]


@pytest.mark.parametrize(
    "override", ["stages.teacher.epochs=5", "data.train_subset=500", "stages.teacher.model.width=9"]
)
def test_a_changed_teacher_changes_its_student(override: str, load_text: LoadText) -> None:
    before, after = fingerprints(plan_pipeline(load_text())), fingerprints(plan_pipeline(load_text(override)))
    assert after[TEACHER] != before[TEACHER]
    assert after[STUDENT] != before[STUDENT]
    assert after[JobKey("report", None)] != before[JobKey("report", None)]


def test_seeds_differ_in_their_fingerprints(load_text: LoadText) -> None:
    found = fingerprints(plan_pipeline(load_text(seeds=range(50))))
    assert len(set(found.values())) == len(found)


def test_the_same_teacher_of_another_pipeline_is_the_same_stage(load_text: LoadText) -> None:
    text = (
        "pipeline: other\nabout: another file\nseeds: [5, 1]\ndata: {validation: 100, name: digits}\nstages:\n"
        "  big:\n    kind: train\n    epochs: 4\n    batch_size: 32\n    model: {name: convnet, blocks: 3}\n"
        "    optimizer: {lr: 1e-1, name: sgd}\n    schedule: {name: multistep, milestones: [2, 3], warmup: 0}\n"
    )
    assert (
        fingerprints(plan_pipeline(load_text(text=text)))[JobKey("big", 1)]
        == fingerprints(plan_pipeline(load_text()))[TEACHER]
    )


def test_data_counts_by_its_bytes_not_its_place(load_text: LoadText, tmp_path: Path) -> None:
    def teacher(root: Path) -> str:
        return fingerprints(plan_pipeline(load_text(f"data.root={root}")))[TEACHER]

    for name, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(content)
    assert teacher(tmp_path / "a") == teacher(tmp_path / "b") != teacher(tmp_path / "c")


def test_pretrained_weights_count_by_their_bytes(load_text: LoadText, tmp_path: Path) -> None:
    def teacher(file: Path) -> str:
        return fingerprints(plan_pipeline(load_text(f"stages.teacher.model={{name: resnet18, pretrained: {file}}}")))[
            TEACHER
        ]

    for name, content in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(content)
    assert teacher(tmp_path / "a") == teacher(tmp_path / "b") != teacher(tmp_path / "c")


def test_a_new_version_of_the_code_retrains(load_text: LoadText, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprints(plan_pipeline(load_text()))
    monkeypatch.setitem(VERSIONS, "distill", 1000)
    after = fingerprints(plan_pipeline(load_text()))
    assert after[TEACHER] == before[TEACHER]
    assert after[STUDENT] != before[STUDENT]


def test_a_new_version_of_one_data_set_retrains_what_uses_it(
    load_text: LoadText, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprints(plan_pipeline(load_text()))
    monkeypatch.setitem(DATA_SETS, "image_folder", 1000)
    assert fingerprints(plan_pipeline(load_text())) == before
    monkeypatch.setitem(DATA_SETS, load_text().data.name, 1000)
    assert fingerprints(plan_pipeline(load_text()))[TEACHER] != before[TEACHER]


def test_the_data_sets_with_a_version_are_those_of_files_that_are_read_otherwise_now() -> None:
    assert set(DATA_SETS) <= set(entries("dataset"))
    assert not {"digits", "mnist", "cifar10", "cifar100", "synthetic", "synthetic_rgb_ir"} & set(DATA_SETS)


def test_two_thousand_jobs_are_planned(load_text: LoadText) -> None:
    extra = "stages.extra={kind: train, model: convnet, epochs: 1, optimizer: {name: sgd, lr: 1}, schedule: cosine}"
    plan = plan_pipeline(load_text(extra, seeds=range(700)))
    assert len(plan.jobs) == 3 * 700 + 1
    assert len(plan.parents_of(plan.jobs[-1])) == 2100


TEACHERS = Path(__file__).resolve().parents[2] / "specs/good/teachers.yaml"


@pytest.fixture
def teachers_plan() -> Callable[..., Plan]:
    """Plan tests/specs/good/teachers.yaml with overrides applied."""
    return lambda *overrides: plan_pipeline(load_pipeline(str(TEACHERS), overrides=overrides))


def test_a_cache_is_multiplied_by_its_teachers_seeds_alone(teachers_plan: Callable[..., Plan]) -> None:
    plan = teachers_plan()
    jobs = {job.key: job for job in plan.jobs}
    stages = plan.by_stage()
    assert [job.key.seed for job in stages["small_views"]] == [1, 2, 3]
    assert [job.key.seed for job in stages["big_views"]] == [1]
    assert jobs[JobKey("big_views", 1)].parents == {"teacher": JobKey("big", 1)}
    assert jobs[JobKey("from_views", 2)].parents == {"teacher": JobKey("small_views", 2)}
    assert jobs[JobKey("from_pooled", 3)].parents == {"teacher": JobKey("big_views", 1)}
    assert jobs[JobKey("from_both", 2)].parents == {
        "teacher_1": JobKey("small_views", 2),
        "teacher_2": JobKey("big_views", 1),
    }
    assert plan.parents_of(jobs[JobKey("from_live", 3)]) == (JobKey("small", 3), JobKey("big", 1))


def test_a_cache_says_all_that_it_does(teachers_plan: Callable[..., Plan]) -> None:
    jobs = {job.key: job for job in teachers_plan().jobs}
    spec = jobs[JobKey("big_views", 1)].spec.to_json()
    assert (spec["kind"], spec["role"], spec["resources"]["minutes"]) == ("cache", None, 60)
    assert spec["settings"] == {
        "views": 4, "pooled": True, "augment": {"crop": 1, "flip": False}, "precision": "auto", "deterministic": False,
    }  # fmt: skip
    student = jobs[JobKey("from_both", 1)].spec.to_json()["settings"]
    assert student["weighting"]["arguments"]["hidden"] == 64
    assert student["temperature"] == {"name": "loss", "arguments": {"low": 1.0, "high": 6.0, "smoothing": 0.5}}
    assert "weighting" not in jobs[JobKey("from_pooled", 1)].spec.to_json()["settings"], "it has one teacher"


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("stages.big.epochs=8", {"big", "big_views", "from_pooled", "from_both", "from_live"}),
        ("stages.big_views.pooled=false", {"big_views", "from_both"}),
        ("stages.from_both.weighting=uniform", {"from_both"}),
        ("stages.from_both.temperature=cosine", {"from_both"}),
        ("stages.from_live.teacher=[big, small]", {"from_live"}),
        ("stages.from_pooled.weighting=gate", set()),
        ("stages.from_pooled.teacher=big_views", set()),
    ],
)
def test_what_changes_a_teacher_changes_its_caches_and_students(
    override: str, changed: set[str], teachers_plan: Callable[..., Plan]
) -> None:
    overrides = [override]
    if "pooled=false" in override:  # whoever needs them must not
        overrides.append("stages.from_pooled.loss={kd: 1}")
        changed = changed | {"from_pooled"}
    before, after = fingerprints(teachers_plan()), fingerprints(teachers_plan(*overrides))
    assert {key.stage for key in after if after[key] != before[key]} - {"report"} == changed


def test_a_cache_asks_for_one_gpu_of_a_pipeline_on_four(teachers_plan: Callable[..., Plan]) -> None:
    needs = {job.key.stage: job.needs.gpus for job in teachers_plan("resources.gpus=4").jobs}
    assert (needs["big"], needs["big_views"]) == (4, 1)
