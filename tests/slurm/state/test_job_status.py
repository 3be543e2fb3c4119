"""Where each job stands: the run's files, squeue and sacct joined."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kd.errors import ClusterError
from kd.rundir.folders import JobKey
from slurm.state.job_status import JobStatus, counts, snapshot, to_json
from slurm.submission.executors import EXECUTORS, ON_THIS_MACHINE
from tests.slurm.made_runs import (
    REPORT,
    FakeSlurm,
    MadeRun,
    fake_slurm,
    make_run,
    sacct_line,
    squeue_line,
    student,
    teacher,
)

__all__ = ["fake_slurm"]
IDS = {teacher(1): "7_0", teacher(2): "7_1", student(1): "8_0", student(2): "8_1", REPORT: "9"}
AWAY = 4194304  # larger than any process id


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path)


@pytest.fixture
def submitted(made: MadeRun) -> MadeRun:
    """A run all of whose jobs were sent to Slurm and released."""
    made.submit(IDS)
    return made


Queue = Callable[..., None]


@pytest.fixture
def queue(fake_slurm: FakeSlurm) -> Queue:
    """Make squeue answer with these lines, and wait for parents for all other jobs of IDS."""

    def set_queue(*lines: str) -> None:
        named = {line.split("|")[0] for line in lines}
        rest = [squeue_line(job_id, "PENDING", "Dependency") for job_id in IDS.values() if job_id not in named]
        fake_slurm.says("squeue", "".join([*lines, *rest]))

    set_queue()
    return set_queue


def states(made: MadeRun) -> dict[JobKey, JobStatus]:
    return {state.key: state for state in snapshot(made.run, EXECUTORS)}


def test_every_planned_job_has_a_state_in_the_plans_order(made: MadeRun) -> None:
    found = snapshot(made.run, EXECUTORS)
    assert [state.key for state in found] == [job.key for job in made.plan.jobs]
    assert {state.phase for state in found} == {"not submitted"}
    assert not any(state.alive for state in found)


def test_slurm_is_not_asked_when_it_was_sent_nothing(made: MadeRun, fake_slurm: FakeSlurm) -> None:
    snapshot(made.run, EXECUTORS)
    assert fake_slurm.calls("squeue") == []


def test_a_result_is_done_whatever_slurm_says(submitted: MadeRun, queue: Queue, fake_slurm: FakeSlurm) -> None:
    submitted.finish(teacher(), epochs=10, validation={"best": {"accuracy": 0.9}}, job={"host": "gpu2"})
    queue(squeue_line("7_0", "FAILED"))
    done = states(submitted)[teacher()]
    assert (done.phase, done.alive, done.value, done.node, done.job_id) == ("done", False, 0.9, "gpu2", "7_0")
    [call] = fake_slurm.calls("squeue")
    assert call.endswith("--jobs 7,8,9")  # seed 2 of the teacher is still asked about


def test_a_result_of_another_plan_is_not_done(submitted: MadeRun, queue: Queue) -> None:
    submitted.finish(teacher(), fingerprint="of another plan")
    queue(squeue_line("7_0", "RUNNING"))
    assert states(submitted)[teacher()].phase == "running"


def test_a_result_written_while_slurm_is_asked_counts(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    submitted.finish(teacher())
    result = submitted.run.stage(teacher()).result
    late = result.with_name("late.json")
    result.rename(late)
    fake_slurm.says("squeue", "")
    script = fake_slurm.folder / "squeue"
    script.write_text(f"#!/bin/sh\nmv '{late}' '{result}'\n")
    assert states(submitted)[teacher()].phase == "done"


def test_a_running_job_tells_how_far_it_is(submitted: MadeRun, queue: Queue) -> None:
    submitted.beat(teacher())
    queue(squeue_line("7_0", "RUNNING", RestartCnt="2"))
    state = states(submitted)[teacher()]
    assert (state.phase, state.alive, state.why) == ("running", True, "")
    assert (state.epoch, state.epochs, state.metric, state.value) == (3, 10, "val_accuracy", 0.81)
    assert state.seconds_left == pytest.approx(300)
    assert (state.partition, state.node, state.restarts, state.job_id) == ("gpu", "gpu1", 2, "7_0")
    assert (state.scheduler_state, state.scheduler_reason) == ("RUNNING", "None")


def test_heartbeats_are_missed_after_ten_minutes(made: MadeRun, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    made.submit(IDS)
    monkeypatch.setattr(time, "time", lambda: now)
    made.beat(teacher(1), ago=12 * 60)
    queue(squeue_line("7_0", "RUNNING"), squeue_line("7_1", "RUNNING"))
    found = states(made)
    assert found[teacher(1)].why == "running, but no heartbeat for 12 min"
    assert found[teacher(2)].why == "running, but not a single heartbeat for 1 h 00 min"
    assert found[teacher(2)].phase == "running"


def test_a_job_waits_for_its_own_parent(submitted: MadeRun, queue: Queue) -> None:
    queue(squeue_line("7_0", "RUNNING"), squeue_line("7_1", "PENDING", "Priority"))
    found = states(submitted)
    assert found[student(1)].why == "waits for teacher seed 1 (running)"
    assert found[student(2)].why == "waits for teacher seed 2 (queued)"
    assert found[REPORT].why == "waits for 4 of 4 jobs to end"
    assert {found[key].phase for key in (student(1), student(2), REPORT)} == {"queued"}


def test_what_can_never_run_names_the_failure_behind_it(submitted: MadeRun, queue: Queue) -> None:
    submitted.fail(teacher(1), "data.root: /data does not exist", job_id="7_0")
    queue(
        squeue_line("7_0", "FAILED", "NonZeroExitCode"),
        squeue_line("7_1", "RUNNING"),
        squeue_line("8_0", "PENDING", "DependencyNeverSatisfied"),
    )
    found = states(submitted)
    failed, blocked = found[teacher(1)], found[student(1)]
    assert (failed.phase, failed.alive, failed.why) == ("failed", False, "data.root: /data does not exist")
    assert blocked.phase == "failed"
    assert blocked.why == "will never run: teacher seed 1 failed: data.root: /data does not exist"
    assert blocked.alive  # it is still in the queue: kd-cancel and kd-submit must remove it
    assert found[REPORT].why == "waits for 2 of 4 jobs to end"


def test_a_report_behind_jobs_that_can_never_run_says_so(submitted: MadeRun, queue: Queue) -> None:
    for seed in (1, 2):
        submitted.fail(teacher(seed), "no data", job_id=IDS[teacher(seed)])
    never = [squeue_line(f"8_{index}", "PENDING", "DependencyNeverSatisfied") for index in (0, 1)]
    queue(squeue_line("7_0", "FAILED"), squeue_line("7_1", "FAILED"), *never)
    assert states(submitted)[REPORT].why.startswith("waits for 2 jobs that can never run")


def test_a_dependent_that_slurm_cancelled_did_not_run_because_of_its_parent(submitted: MadeRun, queue: Queue) -> None:
    queue(squeue_line("7_0", "TIMEOUT", "TimeLimit"), squeue_line("8_0", "CANCELLED", "DependencyNeverSatisfied"))
    blocked = states(submitted)[student(1)]
    assert (blocked.phase, blocked.alive) == ("failed", False)
    assert blocked.why.startswith("did not run: teacher seed 1 failed: hit its time limit")


def test_a_dependency_that_failed_in_slurm_alone_asks_for_a_new_submission(submitted: MadeRun, queue: Queue) -> None:
    submitted.finish(teacher(1))
    queue(squeue_line("8_0", "PENDING", "DependencyNeverSatisfied"))
    blocked = states(submitted)[student(1)]
    assert blocked.phase == "failed"
    assert "run kd-submit again" in blocked.why


def test_held_jobs_of_an_interrupted_submission_tell_the_way_out(made: MadeRun, queue: Queue) -> None:
    made.submit(IDS, released=False)
    queue(squeue_line("7_0", "PENDING", "JobHeldUser"))
    assert states(made)[teacher(1)].why == "held: run kd-submit again to release it"
    made.journal.released(["7_0"])
    assert states(made)[teacher(1)].why == "held by its owner: scontrol release it"


@pytest.mark.parametrize(
    ("state", "said"),
    [("OUT_OF_MEMORY", "resources.memory"), ("TIMEOUT", "time limit"), ("NODE_FAIL", "node failed")],
)
def test_an_ending_that_only_accounting_knows_is_told(
    submitted: MadeRun, fake_slurm: FakeSlurm, state: str, said: str
) -> None:
    fake_slurm.says("sacct", sacct_line("7_0", state))
    found = states(submitted)[teacher(1)]
    assert (found.phase, found.scheduler_state) == ("failed", state)
    assert said in found.why
    assert "kd-status trial --logs teacher/seed-1" in found.why


@pytest.mark.parametrize("state", ["NODE_FAIL", "PREEMPTED"])
def test_a_job_that_waits_again_has_not_failed(
    submitted: MadeRun, queue: Queue, fake_slurm: FakeSlurm, state: str
) -> None:
    fake_slurm.says("sacct", sacct_line("7_0", state))
    queue(squeue_line("7_0", "PENDING", "BeginTime", RestartCnt="1"))
    found = states(submitted)[teacher(1)]
    assert (found.phase, found.alive, found.restarts) == ("queued", True, 1)


@pytest.mark.parametrize("state", ["SUSPENDED", "COMPLETING", "CONFIGURING"])
def test_states_between_start_and_end_are_running(submitted: MadeRun, queue: Queue, state: str) -> None:
    queue(squeue_line("7_0", state))
    found = states(submitted)[teacher(1)]
    assert (found.phase, found.alive) == ("running", True)
    assert found.why


def test_a_job_that_nobody_knows_any_more_ended_without_a_result(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    found = states(submitted)[teacher(1)]
    assert (found.phase, found.alive, found.scheduler_state) == ("failed", False, None)
    assert found.why == "ended without a result; see kd-status trial --logs teacher/seed-1"


def test_an_old_failure_does_not_explain_a_new_job(submitted: MadeRun, queue: Queue) -> None:
    submitted.fail(teacher(1), "long ago", job_id="3_0")
    queue(squeue_line("7_0", "OUT_OF_MEMORY"))
    assert "ran out of memory" in states(submitted)[teacher(1)].why


def test_a_scancelled_job_is_stopped_and_its_child_says_why(submitted: MadeRun, queue: Queue) -> None:
    queue(squeue_line("7_0", "CANCELLED"))
    found = states(submitted)
    assert (found[teacher(1)].phase, found[teacher(1)].why) == ("stopped", "cancelled: run kd-submit again to go on")
    assert found[student(1)].why == "will never run: teacher seed 1 was stopped"


def test_jobs_taken_back_by_kd_cancel_are_stopped_and_slurm_is_not_asked(
    submitted: MadeRun, fake_slurm: FakeSlurm
) -> None:
    submitted.fail(teacher(1), "stopped in epoch 3", error="Interrupted", job_id="7_0")
    submitted.journal.withdrawn(IDS.values(), "kd-cancel")
    assert {state.phase for state in snapshot(submitted.run, EXECUTORS)} == {"stopped"}
    assert states(submitted)[teacher(1)].why == "cancelled: run kd-submit again to go on"
    assert fake_slurm.calls("squeue") == []


def test_an_id_that_slurm_gave_to_somebody_else_is_not_ours(submitted: MadeRun, queue: Queue) -> None:
    queue(
        squeue_line("7_0", "RUNNING", Comment="kd:other:teacher:1"),
        squeue_line("7_1", "RUNNING", Comment="kd:test:teacher:1"),
    )
    found = states(submitted)
    assert (found[teacher(1)].phase, found[teacher(2)].phase) == ("failed", "running")


def test_a_slurm_that_does_not_answer_is_no_proof_of_death(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", "", error="Unable to contact slurm controller\n", code=1)
    with pytest.raises(ClusterError):
        snapshot(submitted.run, EXECUTORS)
    submitted.finish(teacher(1))
    submitted.beat(teacher(2))
    submitted.fail(student(1), "no data", job_id="8_0")
    found = {state.key: state for state in snapshot(submitted.run, ON_THIS_MACHINE)}
    assert [found[key].phase for key in IDS] == ["done", "running", "failed", "queued", "queued"]
    assert found[student(2)].alive


def test_a_profile_without_accounting_spares_sacct(submitted: MadeRun, fake_slurm: FakeSlurm) -> None:
    snapshot(submitted.run, EXECUTORS, accounting=False)
    assert fake_slurm.calls("sacct") == []
    snapshot(submitted.run, EXECUTORS)
    assert len(fake_slurm.calls("sacct")) == 1


def test_a_local_job_runs_as_long_as_its_process(made: MadeRun) -> None:
    made.submit({teacher(1): str(os.getpid()), teacher(2): str(AWAY)}, executor="local")
    found = states(made)
    assert (found[teacher(1)].phase, found[teacher(1)].alive) == ("running", True)
    assert (found[teacher(2)].phase, found[teacher(2)].why) == ("stopped", "interrupted: run kd-submit again to go on")
    assert found[student(1)].why == ""


def test_a_local_job_that_failed_tells_why(made: MadeRun) -> None:
    made.submit({teacher(1): str(AWAY), teacher(2): str(AWAY)}, executor="local")
    made.fail(teacher(1), "no data")
    made.fail(teacher(2), "stopped in epoch 3", error="Interrupted")
    found = states(made)
    assert (found[teacher(1)].phase, found[teacher(1)].why) == ("failed", "no data")
    assert (found[teacher(2)].phase, found[teacher(2)].why) == ("stopped", "interrupted: run kd-submit again to go on")
    assert found[student(1)].why == "not run: teacher seed 1 failed: no data"


def test_a_process_of_another_machine_is_judged_by_its_heartbeat(made: MadeRun) -> None:
    made.submit({teacher(1): str(os.getpid()), teacher(2): str(AWAY)}, executor="local")
    text = made.run.journal.read_text()
    here = made.journal.newest()[teacher(1)].process
    assert here is not None
    made.run.journal.write_text(text.replace(f'"{here.host}"', '"another-host"'))
    assert states(made)[teacher(1)].why == "interrupted on another-host: run kd-submit again to go on"
    made.beat(teacher(1), ago=-1)
    assert states(made)[teacher(1)].phase == "running"


def test_jobs_that_a_local_kd_submit_will_start_are_queued(made: MadeRun) -> None:
    made.journal.scheduling()
    made.submit({teacher(1): str(os.getpid())}, executor="local")
    found = states(made)
    assert (found[teacher(2)].phase, found[teacher(2)].why) == ("queued", "waits for its turn")
    assert found[student(1)].why == "waits for teacher seed 1 (running)"
    assert not found[student(1)].alive


def test_a_stage_run_by_hand_is_seen_by_its_heartbeat(made: MadeRun) -> None:
    made.beat(teacher(1))
    made.beat(teacher(2), ago=300)
    found = states(made)
    assert (found[teacher(1)].phase, found[teacher(2)].phase) == ("running", "not submitted")
    made.fail(teacher(1), "no data")
    assert states(made)[teacher(1)].phase == "failed"


def test_states_are_counted_and_become_json(submitted: MadeRun, queue: Queue) -> None:
    queue(squeue_line("7_0", "RUNNING"))
    found = snapshot(submitted.run, EXECUTORS)
    assert counts(found) == {"running": 1, "queued": 4}
    value = to_json(found[0])
    assert (value["job"], value["stage"], value["seed"], value["phase"]) == ("teacher/seed-1", "teacher", 1, "running")
    assert set(value) == {"job", "stage", "seed"} | set(JobStatus.__struct_fields__) - {"key"}


def test_a_thousand_seeds_cost_one_call_each_of_squeue_and_sacct(tmp_path: Path, fake_slurm: FakeSlurm) -> None:
    seeds = range(1000)
    made = make_run(tmp_path, seeds)
    made.submit({teacher(seed): f"7_{seed}" for seed in seeds})
    made.submit({student(seed): f"8_{seed}" for seed in seeds})
    fake_slurm.says("squeue", "".join(squeue_line(f"8_{seed}", "PENDING", "Dependency") for seed in seeds))
    fake_slurm.says("sacct", "".join(sacct_line(f"7_{seed}", "TIMEOUT") for seed in seeds))
    found = snapshot(made.run, EXECUTORS)
    assert counts(found) == {"failed": 2000, "not submitted": 1}
    assert [len(fake_slurm.calls(program)) for program in ("squeue", "sacct")] == [1, 1]
