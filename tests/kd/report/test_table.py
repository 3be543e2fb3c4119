"""What the terminal shows."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from kd.report.collect import collect
from kd.report.table import print_report, print_summary
from kd.report.write import collect_and_write
from tests.kd.report.builder import RunBuilder, three_stages


@pytest.fixture
def run(tmp_path: Path) -> RunBuilder:
    run = three_stages(tmp_path / "run", [1, 2]).finish("teacher", {1: 0.91, 2: 0.92})
    return (
        run.finish("baseline", {1: 0.84, 2: 0.85}).finish("distilled", {1: 0.87}).fail("distilled", 2, "[red]no[/red]")
    )


def printed(run: RunBuilder) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    print_report(collect([run.run.path], run.run.path), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_eighty_columns_hold_one_whole_row_per_stage(run: RunBuilder) -> None:
    rows = {line.split()[0]: line.split()[1:] for line in printed(run) if "resnet" in line}
    assert rows["teacher"] == ["resnet18", "78", "k", "2/2", "91.50", "±", "0.71", "90.50", "±", "0.71"]
    assert rows["distilled"] == ["resnet8", "78", "k", "1/2", "87.00", "86.00"]


def test_verdicts_and_missing_jobs_follow_in_words_that_are_not_markup(run: RunBuilder) -> None:
    text = " ".join(" ".join(printed(run)).split())
    assert "distilled minus baseline: +3.00 points on the one common seed (1): no interval" in text
    assert "missing: distilled seed 2: failed: [red]no[/red]" in text


def test_the_summary_of_a_run_ends_with_where_the_report_lies(
    run: RunBuilder, capsys: pytest.CaptureFixture[str]
) -> None:
    collect_and_write([run.run.path], run.run.report_json)
    print_summary(run.run)
    last = capsys.readouterr().out.splitlines()[-3:]
    assert last == [str(run.run.report_json), *(str(run.run.report / name) for name in ("report.md", "report.html"))]
    assert all(Path(path).is_file() for path in last)


def test_no_number_is_cut_however_long_the_names_are(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run")
    for temperature in range(20):
        name = f"distilled.attention_transfer-temperature-{temperature}"
        run.stage(name, "distilled", [1, 2], model="a_rather_long_name_of_a_model")
        run.finish(name, {1: 0.81, 2: 0.90 + temperature / 1000})
    lines = printed(run.write_plan())
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]
    rows = [line for line in lines if "distilled.attention_transfer-temperature-" in line and "±" in line]
    assert len(rows) == 20
    assert rows[0].split()[1:5] == ["2/2", "85.50", "±", "6.36"]


def test_a_name_that_fits_without_a_column_is_not_folded(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("a" * 41, "distilled", [1, 2]).finish("a" * 41, {1: 0.8, 2: 0.82})
    assert any("a" * 41 in line and "81.00 ± 1.41" in line for line in printed(run))


def test_many_comparisons_are_a_table(tmp_path: Path) -> None:
    run = RunBuilder(tmp_path / "run").stage("baseline", "baseline", [1, 2]).finish("baseline", {1: 0.8, 2: 0.81})
    for number in range(8):
        run.stage(f"kd_{number}", "distilled", [1, 2]).finish(f"kd_{number}", {1: 0.83, 2: 0.82})
    lines = printed(run)
    rows = [line.split() for line in lines if line.strip().startswith("kd_") and "−" in line]
    assert [row[:4] for row in rows] == [[f"kd_{number}", "−", "baseline", "+2.00"] for number in range(8)]
    assert not any("minus baseline" in line for line in lines)
