"""What an unfinished job left in its folder."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kd.files import write_json
from slurm.state.attempt_files import Reached, read_traces, result_reached
from slurm.state.submissions import Submission
from tests.slurm.made_runs import MadeRun, make_run, teacher


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path)


def submission(job_id: str, written: float) -> Submission:
    return Submission(key=teacher(), job_id=job_id, token="t", executor="slurm", released=True, time=written)


def test_a_folder_without_files_says_nothing(made: MadeRun) -> None:
    traces = read_traces(made.run.stage(teacher()))
    assert traces.reached == Reached()
    assert traces.heard == 0.0
    assert not traces.failed_in(None)


def test_a_heartbeat_tells_epoch_metric_and_time_left(made: MadeRun) -> None:
    made.beat(teacher())  # in the middle of the third of ten epochs of 40 s
    reached = read_traces(made.run.stage(teacher())).reached
    assert (reached.epoch, reached.epochs, reached.metric, reached.value) == (3, 10, "val_accuracy", 0.81)
    assert reached.seconds_left == pytest.approx(7.5 * 40)
    assert reached.host == "gpu1"


def test_before_the_first_epoch_ends_no_time_is_promised(made: MadeRun) -> None:
    made.beat(teacher(), seconds_per_epoch=None, metric=None)
    reached = read_traces(made.run.stage(teacher())).reached
    assert (reached.seconds_left, reached.metric, reached.value) == (None, None, None)


def test_the_later_of_two_clocks_counts(made: MadeRun) -> None:
    made.beat(teacher(), updated=1000.0)  # the node's clock is years behind
    assert read_traces(made.run.stage(teacher())).heard == pytest.approx(time.time(), abs=30)
    path = made.run.stage(teacher()).progress
    made.beat(teacher(), updated=5000.0)
    os.utime(path, (1000.0, 1000.0))
    assert read_traces(made.run.stage(teacher())).heard == 5000.0


def test_nonsense_in_a_heartbeat_is_passed_over(made: MadeRun) -> None:
    made.beat(teacher(), epoch="three", metric="none", steps=0, host=7)
    reached = read_traces(made.run.stage(teacher())).reached
    assert (reached.epoch, reached.metric, reached.host) == (None, None, None)


def test_restarts_are_read_from_the_attempt(made: MadeRun) -> None:
    write_json(made.run.stage(teacher()).attempt, {"restarts": 2, "host": "gpu7"})
    reached = read_traces(made.run.stage(teacher())).reached
    assert (reached.restarts, reached.host) == (2, "gpu7")


def test_a_failure_of_another_job_is_not_this_ones(made: MadeRun) -> None:
    made.fail(teacher(), "no data", job_id="7_0", time=100.0)
    traces = read_traces(made.run.stage(teacher()))
    assert traces.failed_in(submission("7_0", 500.0))  # the ids agree; clocks do not matter
    assert not traces.failed_in(submission("9_0", 50.0))


def test_a_failure_without_a_job_id_is_placed_by_its_time(made: MadeRun) -> None:
    made.fail(teacher(), "no data", time=100.0)
    traces = read_traces(made.run.stage(teacher()))
    assert traces.failed_in(submission("7", 99.0))
    assert not traces.failed_in(submission("7", 101.0))


def test_a_message_is_one_line(made: MadeRun) -> None:
    made.fail(teacher(), "  first line\nsecond line\n")
    assert read_traces(made.run.stage(teacher())).message == "first line"
    made.fail(teacher(), "")
    assert read_traces(made.run.stage(teacher())).message == "DataError"


def test_a_result_tells_where_it_ran_and_what_it_reached() -> None:
    job = {"host": "gpu3", "partition": "low", "restarts": 1}
    reached = result_reached({"epochs": 10, "validation": {"best": {"accuracy": 0.9}}, "job": job})
    assert (reached.epoch, reached.epochs, reached.value) == (10, 10, 0.9)
    assert (reached.host, reached.partition, reached.restarts) == ("gpu3", "low", 1)
    assert result_reached({}) == Reached()
