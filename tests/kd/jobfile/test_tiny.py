"""``--tiny`` keeps the graph, the models and the images' shape, and leaves seconds of work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kd.jobfile import tiny
from kd.jobfile.kinds.cache import CacheStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.shapes import image_shape
from kd.jobfile.stage import Pipeline

LoadText = Callable[..., Pipeline]
REPOSITORY = Path(__file__).resolve().parents[3]
FILES = sorted([*(REPOSITORY / "tests/specs/good").glob("*.yaml"), *(REPOSITORY / "jobs").glob("*.yaml")])


def edges(plan: Plan) -> set[tuple[str, str]]:
    return {(job.key.stage, parent.stage) for job in plan.jobs for parent in plan.parents_of(job)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_job_file_keeps_its_graph_and_models(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    whole, small = load_pipeline(str(path)), load_pipeline(str(path), tiny=True)
    assert edges(plan_pipeline(small)) == edges(plan_pipeline(whole))
    assert list(small.stages) == list(whole.stages)
    for name, stage in whole.stages.items():
        shrunk = small.stages[name]
        if isinstance(stage, TrainStage) and isinstance(shrunk, TrainStage):
            assert shrunk.loss == stage.loss
            rate = stage.optimizer.arguments["lr"] * tiny.SLOWER
            assert shrunk.optimizer.arguments == stage.optimizer.arguments | {"lr": rate}
            assert shrunk.model.name == stage.model.name
            assert stage.model.arguments == {**stage.model.arguments, **shrunk.model.arguments}
            assert set(stage.model.arguments) - set(shrunk.model.arguments) <= {"pretrained", "resize"}
            assert shrunk.schedule.name == stage.schedule.name
            assert shrunk.epochs == min(stage.epochs, tiny.EPOCHS)


def test_the_images_keep_their_shape_and_need_no_files(load_text: LoadText) -> None:
    data = load_text("data={name: mnist, root: '${NOWHERE}', validation: 5000}", tiny=True).data
    assert (data.name, data.root) == ("synthetic", None)
    shape = {"classes": 10, "channels": 1, "size": 28}
    assert {key: data.arguments[key] for key in shape} == shape


def test_frames_keep_their_modalities_and_labels_but_not_their_size(load_text: LoadText) -> None:
    text = (
        "pipeline: x\nseeds: [1]\n"
        "data: {name: paired_frames, root: '${NOWHERE}', labels: [fire, smoke, people], validation: 0.3}\n"
        "stages: {a: {kind: train, model: convnet, epochs: 9, loss: {bce: 1}, optimizer: {name: sgd, lr: 1}}}\n"
    )
    job = load_text(text=text, tiny=True)
    assert (job.data.name, job.data.root) == ("synthetic_rgb_ir", None)
    shape = image_shape(job.data)
    assert shape
    assert (shape.classes, shape.size, shape.modalities, shape.multi_label) == (
        3,
        tiny.FRAME_SIZE,
        ("rgb", "ir"),
        True,
    )


def test_many_classes_stay_and_cost_no_further_images(load_text: LoadText) -> None:
    data = load_text("data={name: synthetic, classes: 200, validation: 500}", tiny=True).data
    assert data.arguments["classes"] == 200
    assert (data.validation, data.arguments["train"]) == (tiny.VALIDATION, tiny.TRAIN + tiny.VALIDATION)


@pytest.mark.parametrize(
    ("schedule", "arguments"),
    [
        ("{name: multistep, milestones: [2, 3], gamma: 0.5}", {"milestones": [1], "gamma": 0.5}),
        ("{name: step, every: 3}", {"every": 1}),
        ("{name: cosine, warmup: 3, final: 0.1}", {"warmup": 0, "final": 0.1}),
        ("constant", {}),
    ],
)
def test_schedules_fit_the_few_epochs(schedule: str, arguments: dict[str, object], load_text: LoadText) -> None:
    stage = load_text(f"stages.teacher.schedule={schedule}", tiny=True).stages["teacher"]
    assert isinstance(stage, TrainStage)
    assert stage.schedule.arguments == arguments


def test_teachers_keep_the_seeds_their_students_keep(load_text: LoadText) -> None:
    own = ("stages.teacher.seeds=[1, 2, 3, 4, 5, 6]", "stages.student.seeds=[5, 6, 4]")
    plan = plan_pipeline(load_text(*own, seeds=[9], tiny=True))
    assert [str(job.key) for job in plan.jobs] == [
        "teacher/seed-5", "teacher/seed-6", "student/seed-5", "student/seed-6", "report",
    ]  # fmt: skip


def test_tiny_jobs_ask_for_minutes(load_text: LoadText) -> None:
    plan = plan_pipeline(load_text("stages.student.resources={time: 24h, memory: 3G}", tiny=True))
    assert {job.needs.minutes for job in plan.jobs if job.kind != "report"} == {tiny.MINUTES}
    assert {job.needs.memory_mb for job in plan.jobs if job.key.stage == "student"} == {3072}


def test_caches_hold_two_views_made_as_their_students_are() -> None:
    job = load_pipeline(
        str(REPOSITORY / "tests/specs/good/teachers.yaml"), overrides=["stages.big.seeds=[2]"], tiny=True
    )
    cache, student = job.stages["small_views"], job.stages["from_views"]
    assert isinstance(cache, CacheStage)
    assert isinstance(student, TrainStage)
    assert cache.views == tiny.VIEWS
    assert cache.augment == student.augment
    plan = plan_pipeline(job)
    assert [str(job.key) for job in plan.by_stage()["big_views"]] == ["big_views/seed-2"]
    assert [str(job.key) for job in plan.by_stage()["small_views"]] == ["small_views/seed-1", "small_views/seed-2"]
