"""kd-partitions as a person runs it: on a cluster, on a laptop, for a job file, and to draft a profile."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm.cluster.profile import load_profile
from slurm.commands.partitions import main
from tests.slurm.launching import SMALL
from tests.slurm.made_cluster import imitate_testbed
from tests.slurm.made_runs import FakeSlurm, fake_slurm

__all__ = ["fake_slurm"]

Capture = pytest.CaptureFixture[str]
Ask = Callable[..., str]


@pytest.fixture
def ask(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run the command on the testbed's profile; check its exit code; return what it printed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SLURM_CONF", raising=False)

    def run(*arguments: str, code: int = 0, cluster: str = "testbed") -> str:
        assert main([*arguments, "--cluster", cluster, "--results", str(tmp_path / "results")]) == code
        return capsys.readouterr().out

    return run


@pytest.fixture
def on_cluster(fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    imitate_testbed(fake_slurm.folder)
    fake_slurm.says("sbatch", "", error="sbatch: Job 13 to start at 9999999999 using 1 processors on nodes gpu3\n")
    monkeypatch.setattr(getpass, "getuser", lambda: "root")
    return fake_slurm


@pytest.fixture
def on_laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def ranked(shown: str, stage: str = "request") -> dict[str, Any]:
    value = json.loads(shown)["stages"][stage]
    assert isinstance(value, dict)
    return value


def test_on_a_cluster_the_ranking_follows_its_state(ask: Ask, on_cluster: FakeSlurm) -> None:
    shown = ask("--cpus", "2", "--time", "2h", "--memory", "4G")
    assert shown.startswith("request: 1 × GPU, 2 CPUs, 4G, 2h on cluster testbed\n")
    assert "by the profile alone" not in shown
    first, second = shown.splitlines()[2:4]
    assert first.split()[:3] == ["1", "a100", "a100"]
    assert first.endswith("wins")
    assert second.split()[:3] == ["2", "markov_gpu", "a100"]


def test_options_are_the_request(ask: Ask, on_cluster: FakeSlurm) -> None:
    asked = ("--gpus", "2", "--gpu-type", "v100", "--cpus", "3", "--memory", "5G", "--time", "90", "--jobs", "4")
    value = ranked(ask(*asked, "--json"))
    assert value["needs"] == {"gpus": 2, "gpu_type": "v100", "cpus": 3, "memory_mb": 5120, "minutes": 90}
    assert value["jobs"] == 4
    assert value["candidates"][0]["gpu_type"] == "v100"


def test_what_fits_nowhere_is_shown_and_ends_in_one_line(
    ask: Ask, on_cluster: FakeSlurm, capsys: Capture, tmp_path: Path
) -> None:
    assert main(["--gpus", "9", "--cluster", "testbed", "--results", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "has 4 GPUs a node at most, the stage asks for 9" in said.out
    assert said.err.startswith("no partition fits: a100: has 4 GPUs")
    assert said.err.count("\n") == 1


def test_a_job_file_is_ranked_stage_by_stage_for_all_its_seeds(ask: Ask, on_cluster: FakeSlurm) -> None:
    stages = json.loads(ask(str(SMALL), "--gpus", "1", "--json"))["stages"]
    assert list(stages) == ["teacher", "baseline", "distilled"], "the report needs no GPU"
    assert stages["teacher"]["jobs"] == 2
    assert list(json.loads(ask(str(SMALL), "baseline", "--json"))["stages"]) == ["baseline"]


def test_without_slurm_the_profile_alone_decides(ask: Ask, on_laptop: None) -> None:
    shown = ask()
    assert "no Slurm here: by the profile alone" in shown
    assert [row.split()[1] for row in shown.splitlines()[2:] if row] == ["a100", "v100", "markov_gpu"]
    assert "the site's default partition" in ask(cluster="generic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.yaml"], "nowhere.yaml: no such job file"),
        ([str(SMALL), "techer"], "techer: no such stage (did you mean 'teacher'?)"),
        (["--cluster", "testbet"], "unknown cluster 'testbet' (did you mean 'testbed'?)"),
        (["--draft-profile"], "no Slurm here: run kd-partitions --draft-profile on the cluster's login node"),
    ],
)
def test_mistakes_end_in_one_line(arguments: list[str], message: str, capsys: Capture, on_laptop: None) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(message)
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--time", "12:30"], "expected a time such as 90m, 24h"),
        (["--memory", "32"], "expected an amount of memory such as 32G"),
        (["--gpus", "0"], "expected a whole number above 0, got '0'"),
        (["--cpus", "four"], "expected a whole number above 0, got 'four'"),
    ],
)
def test_amounts_that_are_none_are_refused_in_words(arguments: list[str], message: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_the_database_is_asked_once_and_anew_when_told_to(ask: Ask, on_cluster: FakeSlurm) -> None:
    """The controller is asked by every command: what it was may be gone. The database's answers are kept for a day."""

    def asked(command: str, word: str) -> int:
        return sum(word in call for call in on_cluster.calls(command))

    ask()
    once = asked("sacctmgr", "show")
    ask()
    assert (asked("scontrol", "config"), asked("sacctmgr", "show")) == (2, once)
    ask("--refresh")
    assert (asked("scontrol", "config"), asked("sacctmgr", "show")) == (3, 2 * once)
    assert once


def test_a_draft_is_a_profile(ask: Ask, on_cluster: FakeSlurm, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(ask("--draft-profile"))
    _, found = load_profile(str(file))
    assert [part.name for part in found.partitions] == ["markov_gpu", "a100", "v100", "low"]
    assert on_cluster.calls("sbatch") == []
    assert "request: 1 × GPU" in ask(cluster=str(file))
