"""Sites and a job's identity, its words and its limits: comments, clusters, greetings, early deaths, full queues.

Each test runs kd's commands as a person does, on a testbed with the ways of such a site.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from kd.rundir.journal import Journal
from tests.conftest import REPOSITORY
from tests.faults.sites import (
    ALL_QUEUED,
    HELD,
    LATER,
    SiteTrial,
    jobs,
    maker,
    phases,
    queue,
    sent_once_seen_and_cancelled,
)
from tests.faults.trial import TEACHER, Trial
from tests.slurm.launching import wait_until
from tests.testbed import Testbed, wrapped

pytestmark = pytest.mark.slurm

RULES = "limits,short"
SMALL = REPOSITORY / "tests" / "jobs" / "small.yaml"


@pytest.fixture
def at_site(site: Testbed, tmp_path: Path) -> SiteTrial:
    """A function that returns a run of chain.yaml at the test's site."""
    return maker(site, tmp_path)


@pytest.fixture
def here(testbed: Testbed, tmp_path: Path) -> SiteTrial:
    """The same on the plain testbed."""
    return maker(testbed, tmp_path)


@pytest.mark.site("noaccounting,lua")
def test_a_site_that_rewrites_comments_hides_no_job(at_site: SiteTrial) -> None:
    sent_once_seen_and_cancelled(at_site())


def test_a_profile_with_a_comment_of_its_own_hides_no_job(here: SiteTrial) -> None:
    sent_once_seen_and_cancelled(here(profile={"sbatch": {**LATER["sbatch"], "comment": "projX"}}))


# Where a kill leaves jobs that only their name and folder tell of, and where some are released or none.
STEPS = ("after-sbatch teacher", "after-sbatch report", "after-submitted teacher", "before-sending", "after-release")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.site("noaccounting,lua")
def test_kd_submit_killed_at_any_step_sends_every_job_once_there_too(at_site: SiteTrial, step: str) -> None:
    killed = at_site(environment={"KD_FAULT_POINT": step}).start_submit()
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL, step
    trial = at_site()
    trial.submit()
    assert len(queue(trial.testbed)) == 3
    assert HELD not in queue(trial.testbed, "%r")
    assert phases(trial) == ALL_QUEUED


@pytest.mark.site("noaccounting,lua")
def test_kd_submit_killed_at_random_instants_sends_every_job_once_there(at_site: SiteTrial, tmp_path: Path) -> None:
    """Half of the kills fall while the jobs are sent. KD_TEST_KILLS: how many; KD_TEST_SEED: as in an earlier run."""
    seed = int(os.environ.get("KD_TEST_SEED") or time.time_ns() % 10**6)
    instants = random.Random(seed)
    begin = time.monotonic()
    at_site("whole").submit()
    whole = time.monotonic() - begin
    sending = time.time() - Journal(at_site("whole").run.journal).lines()[0].time
    counted = Counter[str]()
    for number in range(int(os.environ.get("KD_TEST_KILLS") or 3)):
        trial = at_site(f"killed-{number}").with_(folder=tmp_path / str(number))  # or it would borrow from the others
        process = trial.start_submit()
        late = number % 2 == 1
        while late and process.poll() is None and not trial.run.journal.exists():
            time.sleep(0.005)
        with suppress(subprocess.TimeoutExpired):
            process.wait(instants.uniform(0.0, sending if late else whole))
        process.kill()
        process.communicate()
        left = len(trial.queued())
        counted[f"{left} jobs in the queue"] += process.returncode == -signal.SIGKILL
        trial.submit()
        names = sorted(queue(trial.testbed, "%j"))
        assert names.count(f"killed-{number}.teacher") == 1, (seed, number, names)
        assert len(trial.queued()) == 3, (seed, number, names)
        assert HELD not in queue(trial.testbed, "%r"), (seed, number)
        assert phases(trial) == ALL_QUEUED, (seed, number)
    print(f"seed {seed}, {whole:.1f} s undisturbed; kills by what they left: {dict(counted)}")


@pytest.mark.site("clusters")
def test_slurm_clusters_of_the_shell_means_every_command(at_site: SiteTrial) -> None:
    trial = at_site(environment={"SLURM_CLUSTERS": "other"})
    trial.submit()
    assert queue(trial.testbed) == []
    sent = queue(trial.testbed, cluster="other")
    assert len(sent) == 3
    assert HELD not in queue(trial.testbed, "%r", "other")
    assert phases(trial) == ALL_QUEUED
    trial.submit()
    assert queue(trial.testbed, cluster="other") == sent
    # a shell without the variable finds the run where it was sent
    assert phases(at_site()) == ALL_QUEUED
    assert "3 cancelled" in at_site().desk.run("kd-cancel", trial.name)
    assert queue(trial.testbed, cluster="other") == []


@pytest.mark.site("clusters")
def test_a_profile_that_names_another_cluster_leaves_nothing_held(at_site: SiteTrial) -> None:
    trial = at_site(profile={**LATER, "clusters": "other"})
    trial.submit()
    assert queue(trial.testbed) == []
    assert len(queue(trial.testbed, cluster="other")) == 3
    assert HELD not in queue(trial.testbed, "%r", "other")
    assert phases(trial) == ALL_QUEUED


@pytest.mark.parametrize("variant", ["banner", "number"])
def test_the_words_around_sbatchs_answer_do_not_matter(here: SiteTrial, variant: str) -> None:
    sent_once_seen_and_cancelled(here(environment=wrapped(variant)))


def test_a_job_made_anew_over_an_old_result_is_queued_not_done(here: SiteTrial) -> None:
    here(profile={}).submit("--only", "teacher")
    here(profile={}).wait_ended()
    trial = here(options=("--only", "teacher"))
    for artefact in trial.stage(TEACHER).path.rglob("*.safetensors"):
        artefact.unlink()
    said = trial.submit()
    assert "submitted teacher/seed-1" in said
    sent = queue(trial.testbed)
    assert phases(trial)["teacher/seed-1"] == "queued"
    trial.submit()
    assert queue(trial.testbed) == sent, "nothing is sent a second time"
    assert "cancelled teacher/seed-1" in trial.desk.run("kd-cancel", trial.name)
    assert queue(trial.testbed) == []


def test_a_job_taken_over_is_queued_in_the_other_run_and_its_borrower_is_named(here: SiteTrial) -> None:
    lender, borrower = here("lender"), here("borrower")
    lender.submit()
    borrower.submit("--set", "stages.distilled.epochs=3")
    ours, theirs = jobs(lender), jobs(borrower)
    teacher = theirs["teacher/seed-1"]
    assert teacher["phase"] == "queued"
    assert "lender" in teacher["why"]
    assert ours["teacher/seed-1"]["job_id"] in teacher["why"]
    assert "borrower" in lender.desk.run("kd-cancel", lender.name)
    assert "lender" in jobs(borrower)["distilled/seed-1"]["why"]


@pytest.mark.parametrize(
    ("broken", "complaint"), [("modules", "NoSuchModule"), ("venv", "no_such_program: command not found")]
)
def test_a_job_that_dies_before_python_is_explained_by_its_log(
    here: SiteTrial, tmp_path: Path, broken: str, complaint: str
) -> None:
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text("no_such_program --now\n")
    (programs / "python").symlink_to(sys.executable)
    trial = here(profile={"modules": {"modules": ["NoSuchModule/1.0"]}, "venv": {"venv": str(programs.parent)}}[broken])
    trial.submit("--only", "teacher")
    trial.wait_ended()
    teacher = jobs(trial)["teacher/seed-1"]
    assert teacher["phase"] == "failed"
    assert complaint in teacher["why"]


def test_the_report_does_not_say_not_started_of_a_job_that_died(here: SiteTrial) -> None:
    trial = here(profile={"modules": ["NoSuchModule/1.0"]})
    trial.submit("--only", "teacher")
    trial.wait_ended()
    state, reason = in_the_report(trial)
    assert state == "failed"
    assert "NoSuchModule" in reason


def test_the_report_does_not_say_not_started_of_a_cancelled_job(here: SiteTrial) -> None:
    trial = here()
    trial.submit()
    trial.desk.run("kd-cancel", trial.name)
    assert "cancelled" in in_the_report(trial)[1]


def in_the_report(trial: Trial) -> tuple[str, str]:
    """Return what the report of kd-collect says of the teacher: its state, and why."""
    trial.desk.run("kd-collect", str(trial.run.path), code=1)
    (family,) = json.loads(trial.run.report_json.read_text()).values()
    (teacher,) = (entry for entry in family["missing"] if entry["stage"] == "teacher")
    return teacher["state"], teacher["reason"]


def test_a_virtual_environment_that_is_not_there_is_refused_before_the_queue(here: SiteTrial, tmp_path: Path) -> None:
    trial = here(profile={**LATER, "venv": str(tmp_path / "gone")})
    said = trial.submit(code=2)
    assert str(tmp_path / "gone") in said
    assert queue(trial.testbed) == []


@pytest.mark.site(RULES)
def test_jobs_in_the_queue_count_against_the_limit_before_anything_is_sent(at_site: SiteTrial) -> None:
    course = {**LATER, "account": "course", "partitions": [{"name": "markov_gpu", "gpu_type": "a100"}]}
    at_site("first", course).submit()
    more = ("--seeds", "3,4", "--only", "teacher", "--only", "baseline")
    said = at_site("second", course, job=SMALL).submit(*more, code=2)
    assert "sbatch refused" not in said
    assert "6" in said
    assert "3" in said
    assert len(queue(at_site().testbed)) == 3


@pytest.mark.site(RULES)
def test_the_time_of_a_job_file_holds_for_every_stage(at_site: SiteTrial) -> None:
    partitions = [{"name": "short", "gpu_type": "a100", "max_time": "30m"}]
    trial = at_site(profile={**LATER, "partitions": partitions, "cpu_partition": "short"})
    trial.submit()
    assert set(queue(trial.testbed, "%l")) == {"10:00"}


@pytest.mark.site(RULES)
def test_a_time_limit_that_leaves_little_before_the_signal_is_said(at_site: SiteTrial) -> None:
    said = at_site(profile={**LATER, "signal_seconds": 570}).submit("--dry-run")
    assert "signal_seconds" in said


def test_a_results_folder_that_was_moved_away_is_not_made_again(here: SiteTrial, tmp_path: Path) -> None:
    trial = here(profile={}).paced(0.5)
    trial.submit("--only", "teacher")
    trial.wait_training()
    shutil.move(trial.results, tmp_path / "moved")
    wait_until(lambda: not queue(trial.testbed), "the job to end", seconds=200)
    assert not trial.results.exists()
    assert not (tmp_path / "moved" / "run" / "stages" / "teacher" / "seed-1" / "result.json").exists()


def test_a_reader_that_leaves_early_stops_no_submission(here: SiteTrial) -> None:
    """As in ``kd-submit ... | head -3``."""
    trial = here()
    process = trial.start_submit()
    assert process.stdout
    process.stdout.close()
    process.wait(timeout=300)
    assert len(queue(trial.testbed)) == 3
    assert HELD not in queue(trial.testbed, "%r")
