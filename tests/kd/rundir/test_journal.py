"""The journal remembers every submission across crashes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.rundir.journal import Journal, parse_key
from tests.slurm.made_runs import REPORT, student, teacher


def journal(folder: Path) -> Journal:
    return Journal(folder / "journal.jsonl")


def test_a_submission_is_held_until_it_is_released(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("token", "slurm", {teacher(1): "7_0", teacher(2): "7_1"})
    written.released(["7_1"])
    found = written.submissions()
    assert (found[teacher(1)].job_id, found[teacher(1)].released) == ("7_0", False)
    assert (found[teacher(2)].token, found[teacher(2)].released) == ("token", True)


def test_the_newest_submission_of_a_job_counts(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("first", "slurm", {teacher(): "7"})
    written.withdrawn(["7"], "replaced")
    written.submitted("second", "slurm", {teacher(): "9"})
    assert written.submissions()[teacher()].job_id == "9"
    written.withdrawn(["7"], "of the older one")
    assert written.submissions()[teacher()].token == "second"


def test_a_withdrawn_submission_is_left_out_but_not_forgotten(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("token", "slurm", {teacher(): "7", student(): "8"})
    written.withdrawn(["7"], "kd-cancel")
    assert set(written.submissions()) == {student()}
    assert written.newest()[teacher()].withdrawn == "kd-cancel"


def test_a_process_id_given_twice_belongs_to_its_last_owner(tmp_path: Path) -> None:
    written = journal(tmp_path)
    me = str(os.getpid())
    written.started("local:1", "local", {teacher(): os.getpid()})
    written.started("local:1", "local", {student(): os.getpid()})
    written.withdrawn([me], "kd-cancel")
    assert set(written.submissions()) == {teacher()}


def test_local_processes_are_described_so_that_they_are_known_again(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.started("local:1", "local", {teacher(): os.getpid(), student(): 4194304})
    found = written.submissions()
    process = found[teacher()].process
    assert process is not None
    assert process.alive
    assert found[student()].process is None  # no process has that id


def test_the_scheduling_process_is_known_again(tmp_path: Path) -> None:
    written = journal(tmp_path)
    assert written.scheduler() is None
    written.scheduling()
    scheduler = written.scheduler()
    assert scheduler is not None
    assert scheduler.pid == os.getpid()
    assert scheduler.alive


def test_an_intent_is_open_until_it_is_answered_or_settled(tmp_path: Path) -> None:
    written = journal(tmp_path)
    for token in ("a", "b", "c"):
        written.intend(token, [teacher()])
    written.submitted("a", "slurm", {teacher(): "7"})
    written.settled("b")
    assert written.open_intents() == {"c": [teacher()]}


def test_a_line_cut_by_a_crash_is_passed_over(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("token", "slurm", {teacher(): "7"})
    with open(written.path, "a") as file:
        file.write('{"event": "submitted", "tok')
    assert set(written.submissions()) == {teacher()}


def test_a_line_after_one_cut_by_a_crash_is_whole(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.intend("lost", [teacher()])
    written.path.write_bytes(written.path.read_bytes()[:-5])
    written.submitted("token", "slurm", {teacher(): "7"})
    assert written.submissions()[teacher()].job_id == "7"
    assert written.open_intents() == {}


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.path.mkdir()
    with pytest.raises(RunError, match=r"journal.jsonl: cannot be written \(Is a directory\)"):
        written.intend("a", [teacher()])


def test_every_id_that_was_ever_given_is_known(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("a", "slurm", {teacher(1): "7_0", teacher(2): "7_1"})
    written.withdrawn(["7_0", "7_1"], "replaced")
    written.submitted("b", "slurm", {teacher(1): "9"})
    assert written.known_ids() == {"7", "9"}


def test_names_of_jobs_are_read_back() -> None:
    for key in (teacher(42), REPORT):
        assert parse_key(str(key)) == key


@pytest.mark.parametrize("job_id", ["123_'\n#SBATCH --dependency=afterok:1\ntouch PWNED\n#", "7 8", "-1", "", "7_0\n"])
def test_what_is_no_job_id_is_no_submission(tmp_path: Path, job_id: str) -> None:
    written = journal(tmp_path)
    written.submitted("token", "slurm", {teacher(): job_id})
    assert written.submissions() == {}
    assert written.known_ids() == set()


def test_lines_of_another_form_are_passed_over(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("token", "slurm", {teacher(): "7"})
    with open(written.path, "a") as file:
        file.write('[1]\n{"event": "submitted"}\n{"event": "withdrawn", "ids": 7}\nnull\n' + "[" * 100_000 + "\n")
    assert set(written.submissions()) == {teacher()}


def test_an_executor_that_kd_has_not_submitted_nothing(tmp_path: Path) -> None:
    written = journal(tmp_path)
    written.submitted("token", "touch PWNED", {teacher(): "7"})
    written.submitted("token", "slurm", {student(): "8"})
    assert set(written.submissions()) == {student()}


def test_the_lines_of_a_copied_journal_are_the_originals_alone(tmp_path: Path) -> None:
    original, copy = (journal(tmp_path / name) for name in ("original", "copy"))
    original.submitted("token", "slurm", {teacher(): "7"})
    copy.path.parent.mkdir()
    copy.path.write_bytes(original.path.read_bytes())
    assert copy.submissions() == {}
    (tmp_path / "link").symlink_to(original.path.parent)
    assert set(journal(tmp_path / "link").submissions()) == {teacher()}


def test_a_journal_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.tex"
    thesis.write_text("mine")
    written = journal(tmp_path)
    written.path.symlink_to(thesis)
    with pytest.raises(RunError, match="cannot be written"):
        written.intend("a", [teacher()])
    assert thesis.read_text() == "mine"
