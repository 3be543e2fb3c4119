"""docs/reliability.md names tests that exist, and every test of the fault suite."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.conftest import REPOSITORY

TESTS = REPOSITORY / "tests"
FOLDER = TESTS / "faults"
PAGE = REPOSITORY / "docs" / "reliability.md"
OF_THE_SUITE = {"test_reliability_page.py"}  # about the page and the sweep, not about a fault
NOT_FAULTS = {
    "test_submission.py::test_the_sweep_knows_the_steps_of_the_journal",
    "test_submission.py::test_a_results_path_with_a_line_break_is_refused_in_one_line",
}


def suite(folder: Path = FOLDER) -> set[str]:
    found = set()
    for file in folder.rglob("test_*.py"):
        names = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
        found |= {f"{file.name}::{name}" for name in names if name.startswith("test_")}
    return {test for test in found if test.partition(":")[0] not in OF_THE_SUITE}


def test_every_test_on_the_page_exists_and_every_fault_is_on_the_page() -> None:
    named = set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE.read_text(encoding="utf-8")))
    assert suite() - NOT_FAULTS <= named
    assert named <= suite(TESTS)


def rows_of(head: str) -> list[str]:
    """The rows of all tables with this first heading."""
    tables = re.findall(
        rf"^\| {head} .*\n\|[-|]+\n((?:\| .*\n)+)", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return [row for table in tables for row in table.splitlines()]


def test_every_row_names_one_test() -> None:
    assert len(rows_of("fault")) > 20
    assert all(len(re.findall(r"::test_\w+` \|$", row)) == 1 for row in rows_of("fault"))


def test_every_attack_names_its_tests() -> None:
    assert len(rows_of("attack")) > 15
    assert all(
        re.search(r"\| `test_\w+\.py::test_\w+`(, `test_\w+\.py::test_\w+`)* \|$", row) for row in rows_of("attack")
    )
