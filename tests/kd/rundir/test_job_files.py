"""What an unfinished job left in its folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kd.files import write_json
from kd.rundir.job_files import JobFiles, Reached, read_job_files
from kd.rundir.journal import Submission
from tests.slurm.made_runs import MadeRun, make_run, teacher


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path)


def submission(job_id: str, written: float) -> Submission:
    return Submission(key=teacher(), job_id=job_id, token="t", executor="slurm", released=True, time=written)


def read(made: MadeRun, newest: Submission | None = None) -> JobFiles:
    fingerprint = next(job.fingerprint for job in made.plan.jobs if job.key == teacher())
    return read_job_files(made.run.stage(teacher()), fingerprint, newest)


def test_a_folder_without_files_says_nothing(made: MadeRun) -> None:
    assert read(made) == JobFiles()


def test_a_heartbeat_tells_epoch_metric_and_time_left(made: MadeRun) -> None:
    made.beat(teacher())  # in the middle of the third of ten epochs of 40 s
    progress = read(made).reached
    assert (progress.epoch, progress.epochs, progress.metric, progress.value) == (3, 10, "val_accuracy", 0.81)
    assert progress.seconds_left == pytest.approx(7.5 * 40)
    assert progress.host == "gpu1"


def test_before_the_first_epoch_ends_no_time_is_promised(made: MadeRun) -> None:
    made.beat(teacher(), seconds_per_epoch=None, metric=None)
    progress = read(made).reached
    assert (progress.seconds_left, progress.metric, progress.value) == (None, None, None)


def test_the_later_of_two_clocks_counts(made: MadeRun) -> None:
    made.beat(teacher(), updated=1000.0)  # the node's clock is years behind
    assert read(made).heartbeat == pytest.approx(time.time(), abs=30)
    path = made.run.stage(teacher()).progress
    made.beat(teacher(), updated=5000.0)
    os.utime(path, (1000.0, 1000.0))
    assert read(made).heartbeat == 5000.0


def test_nonsense_in_a_heartbeat_is_passed_over(made: MadeRun) -> None:
    made.beat(teacher(), epoch="three", metric="none", steps=0, host=7)
    progress = read(made).reached
    assert (progress.epoch, progress.metric, progress.host) == (None, None, None)


def test_restarts_are_read_from_the_attempt(made: MadeRun) -> None:
    write_json(made.run.stage(teacher()).attempt, {"restarts": 2, "host": "gpu7"})
    progress = read(made).reached
    assert (progress.restarts, progress.host) == (2, "gpu7")


def test_a_failure_of_another_job_is_not_this_ones(made: MadeRun) -> None:
    made.fail(teacher(), "no data", job_id="7_0", time=100.0)
    failure = read(made).failure
    assert failure is not None
    assert failure.is_of(submission("7_0", 500.0))  # the ids agree; clocks do not matter
    assert not failure.is_of(submission("9_0", 50.0))


def test_a_failure_without_a_job_id_is_placed_by_its_time(made: MadeRun) -> None:
    made.fail(teacher(), "no data", time=100.0)
    failure = read(made).failure
    assert failure is not None
    assert failure.is_of(submission("7", 99.0))
    assert not failure.is_of(submission("7", 101.0))


@pytest.mark.parametrize(("text", "line"), [("  first line\nsecond line\n", "first line"), ("", "DataError")])
def test_a_message_is_one_line(made: MadeRun, text: str, line: str) -> None:
    made.fail(teacher(), text)
    failure = read(made).failure
    assert failure is not None
    assert failure.message == line


def test_an_attempt_after_a_failure_is_told_by_the_nodes_clock(made: MadeRun) -> None:
    made.fail(teacher(), "preempted", time=100.0)
    made.beat(teacher(), updated=50.0)
    assert not read(made).went_on
    made.beat(teacher(), updated=200.0)
    assert read(made).went_on


def test_a_result_tells_who_wrote_it_and_what_it_reached(made: MadeRun) -> None:
    job = {"host": "gpu3", "partition": "low", "restarts": 1}
    validation = {"best": {"accuracy": 0.9}}
    made.finish(teacher(), job_id="7_0", epochs=10, validation=validation, job=job, finished=500.0)
    files = read(made)
    assert files.result is not None
    assert (files.result.job_id, files.result.finished) == ("7_0", 500.0)
    assert (files.reached.epoch, files.reached.epochs, files.reached.value) == (10, 10, 0.9)
    assert (files.reached.host, files.reached.partition, files.reached.restarts) == ("gpu3", "low", 1)


def test_a_result_with_nothing_in_it_is_still_a_result(made: MadeRun) -> None:
    made.finish(teacher())
    files = read(made)
    assert files.result is not None
    assert files.result.finished == pytest.approx(time.time(), abs=30)  # the file's own time
    assert files.reached == Reached()


def test_a_result_of_another_plan_is_no_result(made: MadeRun) -> None:
    made.finish(teacher(), fingerprint="of another plan")
    files = read(made)
    assert (files.result, files.damage) == (None, "stale")
    assert "its result is of another job" in files.fault


def test_half_a_result_is_damage_and_not_absence(made: MadeRun) -> None:
    made.finish(teacher())
    made.run.stage(teacher()).result.write_text('{"test": {"be')
    assert (read(made).result, read(made).damage) == (None, "damaged")


def test_a_job_made_anew_is_as_far_as_its_new_heartbeat(made: MadeRun) -> None:
    made.finish(teacher(), job_id="3_0", epochs=10)
    newest = submission("7_0", time.time() - 60)
    made.beat(teacher(), ago=120)
    assert read(made, newest).reached.epoch == 10
    made.beat(teacher())
    assert read(made, newest).reached.epoch == 3
