"""Which jobs are ours, at sites that rewrite comments, greet before they answer, or have several clusters."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.errors import ClusterError, RunError
from slurm.cluster.job_states import Record
from slurm.cluster.profile import Profile, cluster_of
from slurm.cluster.which_cluster import VARIABLE, on_cluster
from slurm.state.job_status import snapshot
from slurm.submission.executors import EXECUTORS
from slurm.submission.submitit_calls import job_id_in
from slurm.submission.transaction import cancel_orphans
from tests.slurm.made_runs import MadeRun, make_run, squeue_line, teacher
from tests.slurm.make_believe_slurm import MakeBelieveSlurm, slurm
from tests.slurm.resubmitting import kd_submit, starting_point

__all__ = ["slurm"]


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    return make_run(tmp_path)


def phases(made: MadeRun) -> set[str]:
    return {state.phase for state in snapshot(made.run, EXECUTORS)}


def test_a_site_that_overwrites_comments_hides_no_job(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    slurm.has_ways(comment="billed to user 1000")
    sent = set(kd_submit(made).values())
    assert slurm.held() == set()
    assert phases(made) == {"queued"}
    assert starting_point(made).pending == ()
    assert set(slurm.alive()) == sent


def test_jobs_nobody_wrote_down_are_found_without_their_comment(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    slurm.has_ways(comment="billed to user 1000")
    other = make_run(made.run.path.parent.parent / "elsewhere")
    spared = set(kd_submit(other).values())
    sent = set(kd_submit(made).values())
    lines = made.run.journal.read_text().splitlines()
    made.run.journal.write_text("\n".join(line for line in lines if '"submitted"' not in line) + "\n")
    assert set(cancel_orphans(made.run)) == {job.partition("_")[0] for job in sent}
    assert set(slurm.alive()) == spared


@pytest.mark.parametrize(
    ("answer", "job"),
    [
        ("Submitted batch job 101", "101"),
        ("Submitted batch job 101 on cluster other", "101"),
        ("Checked job 7 of the 50 you may have\nSubmitted batch job 101\n", "101"),
        ("Submitted batch job 7 earlier today\nSubmitted batch job 101\nquota: 3\n", "101"),
        ("101\n", "101"),
        ("-- login4, quota 3.5 percent\n101;other\n", "101"),
    ],
)
def test_the_number_is_that_of_sbatchs_answer(answer: str, job: str) -> None:
    assert job_id_in(answer) == job


def test_an_answer_without_a_number_is_shown_and_the_job_taken_back(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    slurm.has_ways(answer="thank you, 3 of 50 used")
    with pytest.raises(ClusterError, match="thank you, 3 of 50 used"):
        kd_submit(made)
    assert slurm.alive() == {}


def test_a_misread_number_is_noticed_and_no_strangers_job_is_touched(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    stranger = make_run(made.run.path.parent.parent / "elsewhere", name="stranger")
    spared = set(kd_submit(stranger).values())
    slurm.has_ways(answer="Submitted batch job 101")  # the stranger's, whatever was sent
    with pytest.raises(ClusterError, match="has another job under that number"):
        kd_submit(made)
    assert set(slurm.alive()) == spared
    assert slurm.held() == set()


def test_a_number_that_is_in_no_queue_is_an_error(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    slurm.has_ways(answer="Submitted batch job 999999")
    with pytest.raises(ClusterError, match="squeue has no such job; nothing is released"):
        kd_submit(made)
    assert slurm.alive() == {}


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ({"Comment": "(null)"}, True),
        ({"Comment": "projX"}, True),
        ({"Comment": "projX", "Name": "renamed", "WorkDir": "HERE"}, True),
        ({"Comment": "projX", "Name": "trial.teacher", "WorkDir": "HERE", "UserName": "shared"}, True),
        ({"Comment": "projX", "Name": "trial.teacher", "WorkDir": "HERE", "SubmitTime": "2001-01-01T00:00:00"}, True),
        ({"Comment": "projX", "Name": "theirs", "WorkDir": "/home/other"}, False),
        ({"Comment": "projX", "Name": "theirs", "SubmitTime": "2001-01-01T00:00:00"}, False),
        ({"Comment": "kd:abc:teacher:1", "Name": "trial.teacher", "WorkDir": "HERE"}, False),
    ],
)
def test_one_witness_that_was_rewritten_makes_no_job_a_strangers(
    made: MadeRun, slurm: MakeBelieveSlurm, fields: dict[str, str], ours: bool
) -> None:
    from kd.rundir.job_evidence import Sent
    from slurm.cluster.job_states import parse_squeue
    from slurm.submission.job_identity import is_ours

    made.submit({teacher(1): "7"})
    where = {name: text.replace("HERE", str(made.run.path)) for name, text in fields.items()}
    when = {"SubmitTime": "N/A", **where}
    record: Record = parse_squeue(squeue_line("7", "RUNNING", **when))["7"]
    assert is_ours(record, Sent(made.run, made.journal.newest()[teacher(1)])) is ours


def test_separators_in_a_comment_or_path_confuse_no_field() -> None:
    from slurm.cluster.job_states import parse_squeue

    odd = {"Comment": "a|b|c", "WorkDir": "/x|y", "Name": "n", "UserName": "u", "SubmitTime": "2026-11-20T13:00:00"}
    record = parse_squeue("CLUSTER: other\n" + squeue_line("7", "PENDING", "Priority", **odd))["7"]
    assert (record.comment, record.reason, record.folder) == ("a|b|c", "Priority", "/x|y")


# Several clusters


def test_one_cluster_for_every_command(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    with on_cluster("gpu"):
        kd_submit(made)
    assert VARIABLE not in os.environ
    snapshot(made.run, EXECUTORS)
    spoken_to = {
        (call[0], call_cluster)
        for call, call_cluster in zip(slurm.read()["calls"], slurm.read()["clusters"], strict=True)
    }
    assert {cluster for _, cluster in spoken_to} == {"gpu"}
    assert {found.cluster for found in made.journal.newest().values()} == {"gpu"}


def test_a_run_stays_on_its_cluster_while_it_has_jobs_there(made: MadeRun, slurm: MakeBelieveSlurm) -> None:
    with on_cluster("gpu"):
        kd_submit(made)
    with pytest.raises(RunError, match="export SLURM_CLUSTERS=gpu"):
        starting_point(made)


@pytest.mark.parametrize("names", ["a,b", "all"])
def test_several_clusters_are_refused(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    monkeypatch.setenv(VARIABLE, names)
    with pytest.raises(ClusterError, match="name one"):
        cluster_of(Profile())
    assert cluster_of(Profile(clusters="gpu")) == "gpu"


def test_another_users_hidden_job_is_not_called_dead(
    made: MadeRun, slurm: MakeBelieveSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.submit({teacher(1): "999"})
    monkeypatch.setattr("slurm.submission.slurm_answers.os.getuid", lambda: made.run.journal.stat().st_uid + 1)
    found = next(state for state in snapshot(made.run, EXECUTORS) if state.key == teacher(1))
    assert (found.phase, found.why) == ("queued", "submitted; Slurm was not asked")
