"""Why a job waits and how it ended, in words that name what to do."""

from __future__ import annotations

import os
import pwd

import pytest

from slurm.cluster.job_states import Record, parse_squeue
from slurm.cluster.pending_reasons import REASONS, ended_words, waiting_words
from tests.slurm.made_runs import SAID

NOW = 1_000_000.0


def waiting(reason: str, **fields: object) -> str:
    return waiting_words(Record(job_id="7", state="PENDING", reason=reason, **fields), NOW)  # type: ignore[arg-type]


def ended(state: str, **fields: str) -> str:
    return ended_words(Record(job_id="7", state=state, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("Priority", "other jobs come first"),
        ("Resources", "free GPUs"),
        ("PartitionTimeLimit", "lower resources.time"),
        ("JobHeldAdmin", "administrator"),
        ("BadConstraints", "resources.gpu_type"),
        ("ReqNodeNotAvail, UnavailableNodes:gpu[1-3]", "down, drained or reserved"),
        ("Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions", "drained"),
        ("QOSMaxWallDurationPerJobLimit", "more time than one job may"),
        ("AssocMaxWallDurationPerJobLimit", "more time than one job may"),
        ("QOSMaxGRESPerJob", "more than one job may"),
        ("QOSMaxJobsPerUserLimit", "as many jobs as it may"),
        ("AssocGrpJobsLimit", "as many jobs as it may"),
        ("QOSMaxGRESPerUser", "as much as it may"),
        ("QOSGrpCpuLimit", "as much as it may"),
        ("AssocGrpGRES", "as much as it may"),
        ("AssocMaxSubmitJobLimit", "as many jobs in the queue"),
        ("launch failed requeued held", "held by Slurm after a failed start"),
        ("", "not looked at it yet"),
    ],
)
def test_reasons_are_told_in_words(reason: str, said: str) -> None:
    assert said in waiting(reason)


def test_a_reason_of_a_family_is_quoted_so_that_it_can_be_looked_up() -> None:
    assert waiting("QOSGrpCpuLimit").endswith("(QOSGrpCpuLimit)")


def test_a_reason_nobody_foresaw_is_quoted() -> None:
    assert waiting("MoonPhase") == "Slurm says MoonPhase"


def test_no_reason_a_real_slurm_gave_goes_without_words() -> None:
    records = [record for record in parse_squeue((SAID / "squeue.txt").read_text()).values() if record.alive]
    reasons = {record.reason for record in records}
    assert len(reasons) >= 10
    assert not [reason for reason in reasons if "Slurm says" in waiting(reason)]


def test_no_words_are_left_empty() -> None:
    assert all(REASONS.values())


def test_a_requeued_job_tells_when_it_starts_again() -> None:
    assert waiting("BeginTime", start=NOW + 90, restarts=1) == "requeued, starts again in 2 min"
    assert waiting("BeginTime", start=NOW + 3600, restarts=0) == "starts in 1 h 00 min"
    assert waiting("BeginTime", start=NOW - 5) == "starts again at a set time"


def test_an_expected_start_is_told() -> None:
    assert waiting("Priority", start=NOW + 7500).endswith("expected to start in 2 h 05 min")
    assert "expected" not in waiting("Priority", start=NOW - 1)


def test_a_job_on_its_way_back_to_the_queue_is_told_by_its_state() -> None:
    record = Record(job_id="7", state="REQUEUE_HOLD")
    assert "held" in waiting_words(record, NOW)


@pytest.mark.parametrize(
    ("state", "exit_code", "said"),
    [
        ("OUT_OF_MEMORY", "0:125", "raise resources.memory"),
        ("TIMEOUT", "0:0", "hit its time limit"),
        ("NODE_FAIL", "0:0", "its node failed"),
        ("PREEMPTED", "0:0", "preempted"),
        ("FAILED", "3:0", "exit code 3"),
        ("FAILED", "0:9", "killed by signal 9"),
        ("FAILED", "137:0", "killed by signal 9"),
        ("FAILED", "128:0", "exit code 128"),
        ("FAILED", "0:53", "its log file could not be opened"),
        ("COMPLETED", "0:0", "ended without a result"),
    ],
)
def test_endings_are_told_in_words(state: str, exit_code: str, said: str) -> None:
    assert said in ended(state, exit_code=exit_code)


def test_who_cancelled_is_named() -> None:
    me = pwd.getpwuid(os.getuid()).pw_name
    assert ended("CANCELLED", cancelled_by=str(os.getuid())) == f"cancelled by {me}"
    assert ended("CANCELLED", cancelled_by="4000000") == "cancelled by user 4000000"
    assert ended("CANCELLED") == "cancelled"
