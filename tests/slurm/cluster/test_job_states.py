"""squeue and sacct read into records; the texts in said/ are what a real Slurm 22.05.8 printed."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from kd.errors import ClusterError
from slurm.cluster.job_states import (
    SQUEUE_FIELDS,
    STATES,
    Record,
    Standing,
    lookup,
    parse_sacct,
    parse_squeue,
    parse_time,
    query,
)
from tests.slurm.made_runs import SAID, FakeSlurm, fake_slurm, sacct_line, squeue_line
from tests.testbed import Testbed, wait_until

__all__ = ["fake_slurm"]

ALIVE = ("waiting", "running")
# job_state_codes.html of Slurm 22.05 to 25.05, squeue(1) JOB STATE CODES
BASE_STATES = "PENDING RUNNING SUSPENDED COMPLETED CANCELLED FAILED TIMEOUT NODE_FAIL PREEMPTED BOOT_FAIL DEADLINE"
MORE_STATES = "OUT_OF_MEMORY LAUNCH_FAILED RECONFIG_FAIL COMPLETING CONFIGURING EXPEDITING POWER_UP_NODE REQUEUED"
FLAG_STATES = (
    "REQUEUE_FED REQUEUE_HOLD RESIZING RESV_DEL_HOLD REVOKED SIGNALING SPECIAL_EXIT STAGE_OUT STOPPED UPDATE_DB"
)
STATES_OF_SLURM = f"{BASE_STATES} {MORE_STATES} {FLAG_STATES}".split()


@pytest.fixture
def queue() -> dict[str, Record]:
    return parse_squeue((SAID / "squeue.txt").read_text())


@pytest.fixture
def recorded() -> dict[str, Record]:
    return parse_sacct((SAID / "sacct.txt").read_text())


def test_every_line_of_squeue_becomes_a_record(queue: dict[str, Record]) -> None:
    lines = (SAID / "squeue.txt").read_text().splitlines()
    assert len(queue) == len(lines) == 32
    assert {record.job_id for record in queue.values()} == {line.split("|")[0] for line in lines}


def test_squeue_fields_land_where_they_belong(queue: dict[str, Record]) -> None:
    failed = queue["5181999_1"]
    assert (failed.state, failed.partition, failed.node) == ("FAILED", "markov_gpu", "gpu1")
    assert (failed.comment, failed.reason, failed.exit_code) == ("kd:aaa:teacher:1", "NonZeroExitCode", "3:0")
    assert failed.start == parse_time("2026-11-20T13:59:17")
    waiting = queue["5182000_1"]
    assert (waiting.reason, waiting.node, waiting.start) == ("DependencyNeverSatisfied", None, None)
    assert queue["5182012"].restarts == 1


def test_a_reason_with_spaces_and_commas_is_read_whole(queue: dict[str, Record]) -> None:
    words = "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
    assert queue["5182010_1"].reason == words


@pytest.mark.parametrize(
    ("job_id", "exit_code"), [("5181999_3", "0:9"), ("5182015", "0:53"), ("5182014", "0:0"), ("5181999_1", "3:0")]
)
def test_squeue_and_sacct_tell_the_same_exit_code(
    queue: dict[str, Record], recorded: dict[str, Record], job_id: str, exit_code: str
) -> None:
    assert queue[job_id].exit_code == recorded[job_id].exit_code == exit_code


def test_a_comment_that_is_not_set_is_empty(queue: dict[str, Record]) -> None:
    assert queue["5182006"].comment == ""


def test_of_a_requeued_job_the_newest_accounting_record_counts(recorded: dict[str, Record]) -> None:
    assert recorded["5182011"].state == "PENDING"  # an older line says NODE_FAIL
    assert recorded["5181999_2"].state == "RUNNING"  # an older line says REQUEUED
    lines = [sacct_line("7", "COMPLETED", submitted="2026-11-20T14:00:00"), sacct_line("7", "PREEMPTED")]
    for text in ("".join(lines), "".join(reversed(lines))):
        assert parse_sacct(text)["7"].state == "COMPLETED"


def test_who_cancelled_is_kept_apart_from_the_state(recorded: dict[str, Record]) -> None:
    record = recorded["5182013_1"]
    assert (record.state, record.cancelled_by) == ("CANCELLED", "0")
    assert recorded["5182001"].cancelled_by is None


def test_a_truncated_state_is_understood() -> None:
    assert parse_sacct(sacct_line("7", "CANCELLED+"))["7"].state == "CANCELLED"


def test_an_array_that_is_not_split_stands_for_its_elements(recorded: dict[str, Record]) -> None:
    held = lookup(recorded, "5182002_3")
    assert held is not None
    assert held.state == "PENDING"
    throttled = lookup(recorded, "5182010_2")
    assert throttled is not None
    assert throttled.reason == "JobArrayTaskLimit"
    own = lookup(recorded, "5182010_0")
    assert own is not None
    assert own.reason == "BeginTime"
    assert lookup(recorded, "5182004_1") is None  # 5182004 is no array


def test_lines_that_are_no_records_are_passed_over() -> None:
    assert parse_squeue("slurm is tired\n\n") == {}
    assert parse_sacct("sacct: hello\n") == {}


@pytest.mark.parametrize("text", ["N/A", "Unknown", "", "yesterday", "13:41:38"])
def test_a_time_that_is_none_is_none(text: str) -> None:
    assert parse_time(text) is None


def test_times_in_seconds_are_understood() -> None:
    assert parse_time("1795182896") == 1795182896.0


def test_the_table_holds_every_state_of_slurm() -> None:
    assert sorted(STATES) == sorted(STATES_OF_SLURM)
    assert {meaning.standing for meaning in STATES.values()} == set(typing.get_args(Standing))


@pytest.mark.parametrize("state", STATES_OF_SLURM)
def test_every_state_is_alive_or_over_and_has_words(state: str) -> None:
    record = parse_squeue(squeue_line("7", state))["7"]
    assert record.alive == (STATES[state].standing in ALIVE)
    assert record.meaning.words or state == "RUNNING"


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"])
def test_states_of_ended_jobs_are_not_alive(state: str) -> None:
    assert not Record(job_id="7", state=state).alive


@pytest.mark.parametrize("state", ["SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "COMPLETING", "STOPPED", "SPECIAL_EXIT"])
def test_states_that_launchers_take_for_the_end_are_alive(state: str) -> None:
    assert Record(job_id="7", state=state).alive


def test_an_unknown_state_counts_as_alive_and_is_quoted() -> None:
    record = Record(job_id="7", state="HIBERNATING")
    assert record.alive
    assert "HIBERNATING" in record.meaning.words


def test_one_squeue_call_answers_for_all_and_sacct_is_spared(fake_slurm: FakeSlurm) -> None:
    ids = [f"70{array}_{element}" for array in range(3) for element in range(50)]
    fake_slurm.says("squeue", "".join(squeue_line(job_id, "RUNNING") for job_id in ids))
    assert set(query(ids)) == set(ids)
    [call] = fake_slurm.calls("squeue")
    assert call.endswith("--jobs 700,701,702")
    assert fake_slurm.calls("sacct") == []


def test_sacct_is_asked_once_and_only_about_jobs_that_left_the_queue(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", squeue_line("7", "RUNNING"))
    fake_slurm.says("sacct", sacct_line("8_0", "TIMEOUT") + sacct_line("8_1", "OUT_OF_MEMORY"))
    found = query(["7", "8_0", "8_1", "9"])
    assert {job_id: record.state for job_id, record in found.items()} == {
        "7": "RUNNING",
        "8_0": "TIMEOUT",
        "8_1": "OUT_OF_MEMORY",
    }
    [call] = fake_slurm.calls("sacct")
    assert call.endswith("--jobs 8,9")


def test_squeue_outranks_accounting(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", squeue_line("7", "PENDING", "BeginTime"))
    fake_slurm.says("sacct", sacct_line("7", "NODE_FAIL"))
    assert query(["7"])["7"].state == "PENDING"


def test_a_job_that_only_accounting_calls_running_is_gone(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("sacct", sacct_line("7", "RUNNING"))
    assert query(["7"]) == {}


def test_jobs_that_slurm_has_purged_are_no_error(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", "", error="slurm_load_jobs error: Invalid job id specified\n", code=1)
    fake_slurm.says("sacct", sacct_line("7", "COMPLETED"))
    assert query(["7"])["7"].state == "COMPLETED"


def test_without_accounting_squeue_answers_alone(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", squeue_line("7", "FAILED"))
    assert set(query(["7", "8"])) == {"7"}  # sacct says: storage is disabled
    assert len(fake_slurm.calls("sacct")) == 1
    assert set(query(["7", "8"], accounting=False)) == {"7"}
    assert len(fake_slurm.calls("sacct")) == 1


def test_an_array_cancelled_before_it_was_split_is_found_under_its_bare_id(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", squeue_line("7", "CANCELLED", "JobHeldUser"))
    assert query(["7_0", "7_3"], accounting=False)["7_3"].state == "CANCELLED"
    fake_slurm.says("sacct", sacct_line("7_0", "COMPLETED"))
    assert query(["7_0", "7_3"])["7_0"].state == "COMPLETED"


def test_a_controller_that_does_not_answer_is_an_error_and_not_an_empty_queue(fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", "", error="Unable to contact slurm controller (connect failure)\n", code=1)
    with pytest.raises(ClusterError, match="Unable to contact slurm controller"):
        query(["7"])


def test_a_machine_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="squeue: no such command"):
        query(["7"])
    assert query([]) == {}


@pytest.mark.slurm
def test_a_real_slurm_is_understood(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CONF", testbed.environment["SLURM_CONF"])
    array = testbed.submit("exit 3", "--array=0-1", "--comment=kd:test:teacher:1", "--mem=100M")
    child = testbed.submit("true", f"--dependency=afterok:{array}", "--mem=100M")
    held = testbed.submit("true", "--hold", "--array=0-2", "--mem=100M")
    ids = [f"{array}_0", f"{array}_1", str(child), f"{held}_0", f"{held}_2", "999999999"]

    def never_satisfied() -> bool:
        return query(ids)[str(child)].reason == "DependencyNeverSatisfied"

    wait_until(never_satisfied, "the child to be given up")
    found = query(ids)
    assert set(found) == set(ids) - {"999999999"}
    ended = found[f"{array}_1"]
    assert (ended.state, ended.exit_code, ended.comment) == ("FAILED", "3:0", "kd:test:teacher:1")
    assert (found[f"{held}_2"].state, found[f"{held}_2"].reason) == ("PENDING", "JobHeldUser")
    testbed.run("scancel", str(held), str(child))
    wait_until(lambda: not query([str(child)])[str(child)].alive, "the child to be cancelled")
    assert [query([job])[job].state for job in (str(child), f"{held}_1")] == ["CANCELLED", "CANCELLED"]


def test_the_fields_asked_for_are_those_that_are_read() -> None:
    assert len(SQUEUE_FIELDS) == squeue_line("7", "RUNNING").count("|")
