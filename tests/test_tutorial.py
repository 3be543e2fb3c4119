"""docs/tutorial.md is run as it stands: its job file, its commands with what they print, its Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPOSITORY

PAGE = REPOSITORY / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
    """A command of the page and the lines that it is said to print, among others; ``…`` stands for anything."""

    line: str
    prints: tuple[str, ...]


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if found == language]


def commands() -> list[Command]:
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, *prints = part.splitlines()
            found.append(Command(line, tuple(prints)))
    return found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a reader has: the commands on PATH, no Slurm, and the page's job file in the working folder."""
    [job] = blocks("yaml")
    (tmp_path / "my_digits.yaml").write_text(job)
    programs = Path(sys.executable).parent
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS", "KD_THREADS") if name in os.environ}
    return {**kept, "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "COLUMNS": "400"}


def test_everything_on_the_page_happens(tmp_path: Path, environment: dict[str, str]) -> None:
    assert len(commands()) == 7
    for command in commands():
        done = subprocess.run(
            command.line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        refused = "Choose a new --run name" in done.stderr or "unknown key" in done.stderr
        assert done.returncode == (2 if refused else 0), f"{command.line}\n{done.stdout}{done.stderr}"
        printed = (done.stdout + done.stderr).splitlines()
        for line in command.prints:
            pattern = re.escape(line).replace("…", ".*")
            assert any(re.fullmatch(pattern, other.strip()) for other in printed), f"{command.line}: {line}\n{printed}"
    [program] = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "convnet torch.Size([4, 10])\n"
