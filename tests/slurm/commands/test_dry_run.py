"""The dry run: every sbatch script as it would be sent, on a machine without Slurm, pinned by golden files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slurm.commands.submit import main
from tests.slurm.launching import SMALL

GOLDEN = Path(__file__).parents[1] / "golden"
RENEW = "renew with: KD_RENEW_GOLDEN=1 python -m pytest tests/slurm/commands/test_dry_run.py, and read the difference"


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide any Slurm of this machine, and name a data folder that does not exist."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KD_DATA", "/data")
    monkeypatch.chdir(tmp_path)


def dry_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "--dry-run"]) == 0
    return capsys.readouterr().out


def test_markov_scripts_match_the_golden_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Four requests with the lab's partition, gres, modules, venv, wall times, signal and dependencies."""
    shown = dry_run(capsys, "cnn_pipeline", "--cluster", "markov", "--results", "/results")
    golden = GOLDEN / "markov_cnn_pipeline.txt"
    if os.environ.get("KD_RENEW_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text(), RENEW
    assert list(tmp_path.iterdir()) == [], "a dry run writes nothing"


def test_testbed_scripts_match_the_golden_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slurm.submission.request.sys.executable", "/venv/bin/python")
    shown = dry_run(capsys, "quickstart", "--cluster", "testbed", "--results", "/results")
    golden = GOLDEN / "testbed_quickstart.txt"
    if os.environ.get("KD_RENEW_GOLDEN"):
        golden.write_text(shown)
    assert shown == golden.read_text(), RENEW


def test_json_lists_the_graph_and_the_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(dry_run(capsys, "cnn_pipeline", "--cluster", "markov", "--json"))
    assert [request["request"] for request in shown["requests"]] == ["teacher", "baseline", "distilled", "report"]
    assert len(shown["jobs"]) == 16
    assert "#SBATCH --dependency='aftercorr:<teacher>'" in shown["requests"][2]["script"]


def test_images_that_cannot_fit_are_named_by_the_dry_run_and_refused_by_the_submission(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = "data={name: synthetic, size: 224, train: 300000, test: 1000, validation: 1000}"
    order = ["quickstart", "--cluster", "testbed", "--set", data, "--set", "stages.teacher.augment={}"]
    assert main([*order, "--dry-run"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("stages.teacher: ")]
    assert "has 2.0 GiB: set resources.memory: " in line
    assert main([*order, "--results", str(tmp_path)]) == 2
    assert line in capsys.readouterr().err.splitlines()
    assert list(tmp_path.iterdir()) == []


def test_only_plans_a_stage_and_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(dry_run(capsys, "cnn_pipeline", "--cluster", "markov", "--json", "--only", "distilled"))
    assert [request["request"] for request in shown["requests"]] == ["teacher", "distilled"]


def test_a_gpu_type_becomes_a_constraint_on_markov(capsys: pytest.CaptureFixture[str]) -> None:
    shown = dry_run(capsys, "cnn_pipeline", "--cluster", "markov", "--set", "resources.gpu_type=a100")
    assert "#SBATCH --constraint=a100\n" in shown
    assert "#SBATCH --gres=gpu:1\n" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_job"], "no_such_job: no such job file"),
        (["cnn_pipeline", "--cluster", "markow"], "unknown cluster 'markow' (did you mean 'markov'?)"),
        (["cnn_pipeline", "--cluster", "gone.yaml"], "gone.yaml: no such cluster profile file"),
        (["cnn_pipeline", "--only", "teachr"], "--only teachr: no such stage (did you mean 'teacher'?)"),
        (["cnn_pipeline", "--run", "a b"], "--run 'a b': a run's name is letters"),
        (["cnn_pipeline", "--results", "/r%j"], "may not contain '%'"),
        (["cnn_pipeline", "--cluster", "markov", "--set", "resources.time=9d"], "markov_gpu: allows 2d"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if "--cluster" not in arguments:
        arguments = [*arguments, "--cluster", "generic"]
    assert main([*arguments, "--dry-run"]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_preview_of_a_local_run_names_its_jobs_and_no_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([str(SMALL), "--executor", "local", "--seeds", "1", "--results", str(tmp_path), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "teacher/seed-1: would run on this machine" in err
    assert "#SBATCH" not in out


@pytest.mark.parametrize(("executor", "code"), [("local", 2), ("debug", 2), ("slurm", 0)])
def test_a_preview_exits_as_the_submission_would_where_the_jobs_would_run(
    executor: str, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """There is no Slurm here: what lies on the machine of a cluster cannot be known."""
    images = ["--set", "data={name: mnist, root: /gone, validation: 10}"]
    order = [str(SMALL), "--executor", executor, "--results", str(tmp_path), *images]
    assert main([*order, "--dry-run"]) == code
    said = "data.root: /gone does not exist (docs/data.md says what to put there)"
    assert said in capsys.readouterr().err.splitlines()
    if code:
        assert main(order) == code
        assert said in capsys.readouterr().err.splitlines()


def test_a_variable_that_is_not_set_still_allows_a_preview(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    images = ["--set", "data={name: mnist, root: '${OF_NOBODY}/mnist', validation: 10}"]
    assert main([str(SMALL), "--executor", "local", "--results", str(tmp_path), *images, "--dry-run"]) == 0
    assert "OF_NOBODY is not set" in capsys.readouterr().err


def test_json_without_a_dry_run_is_refused_rather_than_forgotten(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([str(SMALL), "--results", str(tmp_path), "--json"]) == 2
    assert capsys.readouterr().err == "--json: only with --dry-run; kd-status RUN --json has the states of a run\n"
    assert list(tmp_path.iterdir()) == []


def test_an_account_of_the_shell_is_not_dropped_without_a_word(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SBATCH_ACCOUNT", "proj")
    monkeypatch.setenv("SBATCH_CLUSTERS", "")
    assert main([str(SMALL), "--cluster", "generic", "--results", str(tmp_path), "--dry-run"]) == 0
    assert "not used: SBATCH_ACCOUNT=proj; the cluster profile has account" in capsys.readouterr().err
