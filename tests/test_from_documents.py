"""docs/from_documents: every command of the pages is planned, and the counts in their heads are those of their rows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from slurm.commands.submit import main

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "from_documents"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
COMMANDS = sorted({found for page in PAGES for found in re.findall(r"`(kd-submit [^`]+)`", page.read_text("utf-8"))})
MARKS = ("✓", "~", "✗")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_planned(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KD_DATA", "/data")
    words = shlex.split(command)[1:]
    where = [] if "--cluster" in words else ["--cluster", "markov"]
    assert main([*words, *where, "--dry-run"]) == 0, capsys.readouterr().err
    assert "#SBATCH --partition=" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_head_counts_the_rows(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    marks = re.findall(r"^\| .* \| (.) \|$", text, flags=re.M)
    counts = [marks.count(mark) for mark in MARKS]
    assert len(marks) == sum(counts)
    head = f"{len(marks)} rows: " + ", ".join(f"{count} {mark}" for count, mark in zip(counts, MARKS, strict=True))
    assert head in text
    row = re.search(rf"\]\({page.name}\) \| (.*) \|", (FOLDER / "README.md").read_text(encoding="utf-8"))
    assert row is not None
    assert row[1] == " | ".join(map(str, [len(marks), *counts]))
