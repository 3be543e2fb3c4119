"""tables.tex: the numbers of the report, and texts that LaTeX cannot misread."""

from __future__ import annotations

from pathlib import Path

from kd.report.collect import collect
from kd.report.latex import cell, latex_tables
from tests.kd.report.builder import evidence, three_stages


def test_the_tables_hold_results_and_costs_with_equal_rows(tmp_path: Path) -> None:
    run = three_stages(tmp_path / "run", [1, 2]).finish("teacher", {1: 0.9, 2: 0.92}, **evidence(0.9))
    text = latex_tables(collect([run.run.path], run.run.path))
    assert r"91.00 $\pm$ 1.41" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    for table in text.split(r"\begin{tabular}")[1:]:
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len({row.count(" & ") for row in rows}) == 1


def test_special_signs_are_escaped() -> None:
    assert cell(r"a_b & 5 % {x} \input{/etc/passwd}") == r"a\_b \& 5 \% \{x\} \textbackslash{}input\{/etc/passwd\}"
