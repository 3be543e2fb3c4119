"""What an interrupted submission left behind: found by the comments of queued jobs, whatever the journal lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import ClusterError
from kd.rundir.folders import RunFolder
from kd.rundir.journal import Journal
from slurm.submission.request import run_tag
from slurm.submission.transaction import cancel_orphans
from tests.slurm.made_runs import FakeSlurm, fake_slurm, teacher

__all__ = ["fake_slurm"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with one journalled array (7) and an sbatch whose answer was never written down."""
    run = RunFolder(tmp_path / "results" / "run")
    journal = Journal(run.journal)
    journal.intend("first", [teacher()])
    journal.submitted("first", "slurm", {teacher(1): "7_0", teacher(2): "7_1"})
    journal.intend("second", [teacher(3)])
    return run


def test_a_queued_job_that_nobody_wrote_down_is_cancelled_and_others_are_spared(
    run: RunFolder, fake_slurm: FakeSlurm
) -> None:
    mine = run_tag(run)
    fake_slurm.says("squeue", f"7|{mine}:teacher:1\n7|{mine}:teacher:1\n8|{mine}:x:2\n9|kd:other:x:1\n10|(null)\n")
    assert cancel_orphans(run) == ["8"]
    assert fake_slurm.calls("scancel") == ["scancel --quiet 8"]
    assert Journal(run.journal).open_intents() == {}


def test_a_job_that_appears_after_its_intent_was_settled_is_still_found(run: RunFolder, fake_slurm: FakeSlurm) -> None:
    assert cancel_orphans(run) == []
    fake_slurm.says("squeue", f"11|{run_tag(run)}:teacher:1\n")
    assert cancel_orphans(run) == ["11"]


def test_a_silent_slurm_settles_nothing(run: RunFolder, fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("squeue", "", error="slurm_load_jobs error: Unable to contact slurm controller", code=1)
    with pytest.raises(ClusterError, match="Unable to contact"):
        cancel_orphans(run)
    assert list(Journal(run.journal).open_intents()) == ["second"]


def test_a_run_that_never_went_to_slurm_asks_nobody(tmp_path: Path, fake_slurm: FakeSlurm) -> None:
    assert cancel_orphans(RunFolder(tmp_path / "run")) == []
    assert fake_slurm.calls("squeue") == []
