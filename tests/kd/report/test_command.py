"""kd-collect: what it accepts, where it writes, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kd.report.command import main
from tests.kd.report.builder import RunBuilder, three_stages


def whole(path: Path, *, pipeline: str = "cnn") -> RunBuilder:
    run = three_stages(path, [1, 2], pipeline=pipeline).finish("teacher", {1: 0.91, 2: 0.92})
    return run.finish("baseline", {1: 0.84, 2: 0.85}).finish("distilled", {1: 0.87, 2: 0.86})


def test_a_whole_run_ends_with_0_and_a_report_in_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = whole(tmp_path / "run")
    assert main([str(run.run.path)]) == 0
    assert run.run.report_json.is_file()
    assert (run.run.report / "report.html").is_file()
    assert str(run.run.report_json) in capsys.readouterr().out


def test_a_hole_ends_with_1_and_a_report_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = three_stages(tmp_path / "run", [1]).fail("teacher", 1, "no data")
    assert main([str(run.run.path)]) == 1
    assert json.loads(run.run.report_json.read_text())["cnn"]["missing"][0]["reason"] == "no data"
    assert "no data" in capsys.readouterr().out


def test_a_run_is_found_by_its_name_under_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = whole(tmp_path / "results" / "mine")
    assert main(["mine", "--results", str(tmp_path / "results")]) == 0
    run.run.report_json.unlink()
    monkeypatch.setenv("KD_RESULTS", str(tmp_path / "results"))
    assert main(["mine"]) == 0
    assert run.run.report_json.is_file()


def test_several_runs_go_where_asked_with_links_to_each(tmp_path: Path) -> None:
    runs = [whole(tmp_path / "cnn"), whole(tmp_path / "vit", pipeline="vit")]
    output = tmp_path / "out" / "both.json"
    assert main([*(str(run.run.path) for run in runs), "-o", str(output)]) == 0
    report = json.loads(output.read_text())
    assert list(report) == ["cnn", "vit"]
    assert (output.parent / report["vit"]["stages"]["teacher"]["jobs"]["1"]["folder"] / "result.json").is_file()
    assert (tmp_path / "out" / "both" / "figures" / "vit_accuracy.png").is_file()
    assert not (tmp_path / "cnn" / "report.json").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["mind"], r"mind: no such run folder, nor a run in {results} (did you mean 'mine'?)"),
        (["mine", "other"], "several runs make one report: name its file with -o FILE.json"),
        (["mine", "-o", "report"], "report: the report's name must end in .json"),
        (["."], "not a run folder"),
    ],
)
def test_a_persons_mistake_ends_with_2_and_one_line(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole(tmp_path / "results" / "mine"), whole(tmp_path / "results" / "other")
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert line.format(results="results") in error
    assert len(error.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_runs_that_contradict_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [whole(tmp_path / name).finish("teacher", {1: value}) for name, value in (("a", 0.5), ("b", 0.6))]
    assert main([*(str(run.run.path) for run in runs), "-o", str(tmp_path / "all.json")]) == 2
    assert "teacher seed 1 has a different result in each" in capsys.readouterr().err
    assert not (tmp_path / "all.json").exists()


def test_two_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    run = whole(tmp_path / "run")
    command = [sys.executable, "-m", "kd.report.command", str(run.run.path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert json.loads(run.run.report_json.read_text())["cnn"]["missing"] == []
    assert not [file for file in run.run.path.rglob(".*") if file.name.endswith(".part")]


def test_collecting_loads_no_torch_and_starts_without_the_heavy_libraries(tmp_path: Path) -> None:
    run = whole(tmp_path / "run")
    program = (
        "import sys; import kd.report.command as c; heavy = {'torch', 'numpy', 'pandas', 'matplotlib', 'scipy'}; "
        f"assert not heavy & set(sys.modules); c.main([{str(run.run.path)!r}]); "
        "assert not {'torch', 'pandas', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_collecting_loads_neither_torch_nor_the_schema_of_job_files(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1]).finish("teacher", {1: 0.9})
    code = (
        "import sys, pathlib; from kd.report.collect import collect; "
        f"collect([pathlib.Path({str(run.run.path)!r})], pathlib.Path()); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"torch", "pydantic", "yaml", "pandas"}.isdisjoint(loaded)
