"""What the seeds of a stage have in common: GPU hours and the time in the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.files import write_json
from kd.report.collect import collect
from kd.report.report_stages import StageSummary
from kd.rundir.bounded_json import read_object
from tests.kd.report.builder import RunBuilder, three_stages


def stage_with(folder: Path, *, gpus: int = 1, **facts: object) -> StageSummary:
    """Collect one finished teacher of an hour that held so many GPUs, with these facts of its job."""
    run: RunBuilder = three_stages(folder / "run", [1])
    run.finish("teacher", {1: 0.9}, seconds={"total": 3600.0}, job=facts)
    spec = run.folder("teacher", 1).spec
    content = read_object(spec)
    assert content is not None
    write_json(spec, {**content, "resources": {**content["resources"], "gpus": gpus}})
    return collect([run.run.path], folder)["cnn"].stages["teacher"]


@pytest.mark.parametrize(("gpus", "hours"), [(0, 0.0), (1, 1.0), (4, 4.0)])
def test_every_gpu_that_a_job_held_is_counted(tmp_path: Path, gpus: int, hours: float) -> None:
    assert stage_with(tmp_path, gpus=gpus, executor="slurm", partition="gpu").gpu_hours == pytest.approx(hours)


def test_a_run_on_the_cpu_of_this_machine_held_no_gpu(tmp_path: Path) -> None:
    assert stage_with(tmp_path, gpus=1, executor="local").gpu_hours == 0.0


def test_an_interval_of_accuracies_ends_at_0_and_1(tmp_path: Path) -> None:
    run = (
        three_stages(tmp_path / "run", [1, 2]).finish("teacher", {1: 0.99, 2: 0.7}).finish("baseline", {1: 0.0, 2: 0.2})
    )
    stages = collect([run.run.path], tmp_path)["cnn"].stages
    teacher, baseline = stages["teacher"].ci95, stages["baseline"].ci95
    assert (teacher and teacher[1], baseline and baseline[0]) == (1.0, 0.0)
    assert stages["teacher"].seconds.ci95 == [60.0, 60.0]


def test_the_time_in_the_queue_is_from_submission_to_start(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, submitted=1000.0, started=1090.0, restarts=0)
    assert stage.jobs["1"].queue_seconds == 90.0


def test_of_a_restarted_job_no_time_in_the_queue_is_known(tmp_path: Path) -> None:
    """Only its last start is recorded: from submission to there it trained, too."""
    stage = stage_with(tmp_path, submitted=1000.0, started=90_000.0, restarts=1)
    assert stage.jobs["1"].queue_seconds is None
