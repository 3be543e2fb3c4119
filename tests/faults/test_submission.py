"""kd-submit killed, refused, left without an answer, or started twice: run again, it sends only what is missing."""

from __future__ import annotations

import ast
import signal
from functools import partial
from typing import Any

import pytest

from kd.rundir.journal import Journal
from tests.conftest import REPOSITORY
from tests.faults.conftest import MakeTrial
from tests.faults.trial import ONCE, TEACHER, Trial, with_sbatch
from tests.slurm.launching import wait_until

pytestmark = pytest.mark.slurm

REQUESTS = ("teacher", "distilled", "report")
SEEN = (
    "before it had planned this run",
    "not submitted",
    "held: run kd-submit again",
    "running",
    "queued",
)  # after a crash
# Points that a first submission does not come by: where kd-submit must have been killed before.
AFTER = {"after-cancelling-orphans": "after-sbatch"}


def fault_points() -> list[str]:
    """Return every fault point of the launcher's sources; those passed once per request, at the first and last one."""
    found = []
    for source in sorted((REPOSITORY / "slurm").rglob("*.py")):
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fault_point":
                (name, *of) = call.args
                assert isinstance(name, ast.Constant), f"{source.name}:{call.lineno}: name the point in so many words"
                found += [f"{name.value} {request}" for request in (REQUESTS[0], REQUESTS[-1])] if of else [name.value]
    return found


def crash(point: str, trial: Trial) -> Trial:
    """Kill kd-submit at a point, look at the run, and submit it again."""
    for where in filter(None, (AFTER.get(point), point)):
        armed = trial.with_(environment={"KD_FAULT_POINT": where}).start_submit()
        output, _ = armed.communicate(timeout=300)
        assert armed.returncode == -signal.SIGKILL, f"kd-submit does not come by {where}: {output}"
    seen = trial.desk.start("kd-status", trial.name)
    said, _ = seen.communicate(timeout=300)
    assert any(words in said for words in SEEN), said
    again = trial.submit()
    assert "submitted" in again or "waiting or running already" in again or "done already" in again, again
    trial.wait_ended()
    return trial


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=pytest.mark.fault(by=partial(crash, point))) for point in fault_points()]
)
def test_kd_submit_killed_at_any_step_loses_and_doubles_nothing(
    trial: Trial, undisturbed: dict[str, Any], point: str
) -> None:
    assert trial.outcome() == undisturbed, point
    assert trial.starts() == ONCE
    assert Journal(trial.run.journal).open_intents() == {}


def test_the_sweep_knows_the_steps_of_the_journal() -> None:
    steps = {point.partition(" ")[0] for point in fault_points()}
    assert {"after-intent", "after-sbatch", "after-submitted", "after-release", "after-released"} <= steps


NO_ANSWER = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"


def refuse_the_second(trial: Trial) -> Trial:
    broken = with_sbatch(trial, 2, f"echo '{NO_ANSWER}' >&2; exit 1")
    said = broken.submit(code=2)
    assert f"sbatch refused stage 'distilled': {NO_ANSWER}" in said
    assert trial.queued() == []
    assert "rolled back" in trial.why(TEACHER)
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=refuse_the_second)
def test_a_refusal_half_way_takes_back_what_was_sent(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


def accept_the_second_without_an_answer(trial: Trial) -> Trial:
    broken = with_sbatch(trial, 2, f'"$real" "$@" > /dev/null; echo "{NO_ANSWER}" >&2; exit 1')
    broken.submit(code=2)
    assert trial.queued() == [], "the job that Slurm took without saying so is gone too"
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=accept_the_second_without_an_answer)
def test_a_job_accepted_without_an_answer_is_found_and_taken_back(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


def accept_the_second_late(trial: Trial) -> Trial:
    late = f'(sleep 4; exec "$real" "$@") > /dev/null 2>&1 < /dev/null & echo "{NO_ANSWER}" >&2; exit 1'
    # the script that submitit wrote must still be there when the late sbatch reads it
    keep = 'cp "${@: -1}" "$0.kept"; set -- "$0.kept"'
    broken = with_sbatch(trial, 2, f"{keep}\n{late}")
    broken.submit(code=2)
    wait_until(lambda: len(trial.queued()) == 1, "the job that Slurm accepts late")
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=accept_the_second_late)
def test_a_job_accepted_late_never_runs_and_goes_at_the_next_submission(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


def submit_twice_at_once(trial: Trial) -> Trial:
    shells = [trial.start_submit() for _ in range(2)]
    said = [shell.communicate(timeout=300)[0] for shell in shells]
    codes = sorted(shell.returncode for shell in shells)
    if codes != [0, 0]:  # the second came after the first was through, and found its jobs
        assert codes == [0, 2], said
        assert any("another kd-submit is at work on this run" in words for words in said)
    assert sum("submitted teacher/seed-1" in words for words in said) == 1, said
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=submit_twice_at_once)
def test_of_two_submissions_at_once_one_wins(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


def collect_twice_at_once(trial: Trial) -> Trial:
    trial.submit()
    trial.wait_ended()
    trial.run.report_json.unlink()
    collectors = [trial.desk.start("kd-collect", str(trial.run.path)) for _ in range(2)]
    for collector in collectors:
        said, _ = collector.communicate(timeout=300)
        assert collector.returncode == 0, said
    return trial


@pytest.mark.fault(by=collect_twice_at_once)
def test_two_collections_at_once_both_end_with_the_report(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert list(trial.run.path.glob("**/*.part")) == []


AWKWARD = "a b 'c' \"d\" $HOME `id` ; é 名"


def awkward_results(trial: Trial) -> Trial:
    trial = trial.with_(folder=trial.folder / AWKWARD)
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=awkward_results)
def test_a_results_path_of_spaces_quotes_and_letters_is_no_trouble(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert AWKWARD in str(trial.run.path)
    assert trial.outcome() == undisturbed
    assert trial.starts() == ONCE


@pytest.mark.parametrize("name", ["two words", "it's", 'say "x"', "line\nbreak", "ends\n", "née", "$(id)", "../up"])
def test_an_awkward_run_name_is_refused_in_one_line(make_trial: MakeTrial, name: str) -> None:
    trial = make_trial("awkward")
    said = trial.submit("--run", name, code=2)
    assert len(said.splitlines()) == 1, said
    assert "a run's name is letters, digits" in said or "may not contain" in said
    assert list(trial.results.iterdir()) == [], "nothing is written"


def test_a_results_path_with_a_line_break_is_refused_in_one_line(make_trial: MakeTrial) -> None:
    trial = make_trial("awkward")
    said = trial.submit("--results", f"{trial.results}/line\nbreak", code=2)
    assert len(said.splitlines()) == 1, said
    assert "may not contain" in said
    assert list(trial.results.iterdir()) == []
