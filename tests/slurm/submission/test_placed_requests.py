"""Where a submission goes, and that a dry run shows the same wherever Slurm answers."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from slurm.commands.submit import main
from tests.slurm.made_cluster import imitate_testbed
from tests.slurm.made_runs import FakeSlurm, fake_slurm

__all__ = ["fake_slurm"]

DryRun = Callable[..., tuple[str, str]]


@pytest.fixture
def dry_run(
    fake_slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> DryRun:
    """Dry-run the quickstart on a cluster; return the partitions of the teacher's script and what was complained of."""
    fake_slurm.says("sbatch", "", error="sbatch: Job 13 to start at 9999999999 using 1 processors on nodes gpu3\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "root")

    def run(*more: str, cluster: str = "testbed") -> tuple[str, str]:
        asked = ["--set", "resources={gpus: 1, cpus: 1, memory: 1G, time: 10m}", "--results", str(tmp_path / "results")]
        assert main(["quickstart", "--cluster", cluster, "--dry-run", *asked, *more]) == 0
        shown, complaint = capsys.readouterr()
        [first, *_] = [line for line in shown.splitlines() if line.startswith("#SBATCH --partition=")]
        return first.partition("=")[2], complaint

    return run


def test_a_dry_run_on_the_cluster_chooses_by_its_state(dry_run: DryRun, fake_slurm: FakeSlurm) -> None:
    imitate_testbed(fake_slurm.folder)
    assert dry_run() == ("a100,markov_gpu", "")


def test_a_controller_that_does_not_answer_leaves_the_profile(dry_run: DryRun, fake_slurm: FakeSlurm) -> None:
    fake_slurm.says("scontrol", "", error="slurm_load_partitions error: Unable to contact\n", code=1)
    partition, complaint = dry_run()
    assert partition == "a100"
    assert complaint == "cluster testbed: scontrol does not answer; partitions are chosen by the profile alone\n"


def test_another_cluster_s_slurm_leaves_the_profile(dry_run: DryRun, fake_slurm: FakeSlurm, tmp_path: Path) -> None:
    imitate_testbed(fake_slurm.folder)
    site = tmp_path / "site.yaml"
    site.write_text("partitions: [{name: elsewhere, gpu_type: a100}]\n")
    partition, complaint = dry_run(cluster=str(site))
    assert partition == "elsewhere"
    assert "this machine's Slurm has none of its partitions (elsewhere)" in complaint


def test_a_profile_without_partitions_is_placed_by_slurm_s_own(
    dry_run: DryRun, fake_slurm: FakeSlurm, tmp_path: Path
) -> None:
    imitate_testbed(fake_slurm.folder)
    site = tmp_path / "site.yaml"
    site.write_text("require_gpus: false\n")
    partition, complaint = dry_run(cluster=str(site))
    assert "a100" in partition
    assert complaint == ""
