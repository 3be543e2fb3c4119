"""setup.sh: which profile it takes, and what it reads of it. Its installation is a made-up pip's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "cluster_env" / "setup.sh"
BLOCK = "modules:\n  - 'Python/3.11'  # first\n  - CUDA/12.1\nvenv: $HOME/envs/kd\n"
FLOW = 'venv: "$HOME/envs/kd"\nmodules: [Python/3.11,\n  "CUDA/12.1"]\n'


def setup(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run setup.sh where the environment is there already and its python only notes what it is asked."""
    python = folder / "envs" / "kd" / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\necho "$@" > {folder}/installed\n')
    python.chmod(0o755)
    shell = f'module() {{ echo "$2" >> {folder}/loaded; }}; export -f module; exec {SCRIPT} "$@"'
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", shell, "setup", *arguments],
        env={"HOME": str(folder), "PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("text", [BLOCK, FLOW])
def test_a_profile_file_in_any_style_of_yaml_gives_its_modules_and_venv(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    answer = setup(tmp_path, str(tmp_path / "site.yaml"))
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "loaded").read_text().split() == ["Python/3.11", "CUDA/12.1"]
    assert "--editable" in (tmp_path / "installed").read_text()
    assert answer.stdout == f"ready: source {tmp_path}/envs/kd/bin/activate\n"


def test_a_shipped_profile_is_known_by_its_name(tmp_path: Path) -> None:
    answer = setup(tmp_path, "markov", str(tmp_path / "envs" / "kd"))
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "loaded").read_text().split() == ["Python/3.11.3-GCCcore-12.3.0", "CUDA/12.1.1"]


@pytest.mark.parametrize(
    ("text", "complaint"), [("modules: [a\n", "site.yaml: "), ("- a\n", "expected keys and values"), ("{}", "no venv")]
)
def test_a_faulty_profile_ends_in_one_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    answer = setup(tmp_path, str(tmp_path / "site.yaml"))
    assert answer.returncode == 2
    assert complaint in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_an_unknown_profile_is_named(tmp_path: Path) -> None:
    answer = setup(tmp_path, "no_such_site.yaml")
    assert (answer.returncode, answer.stderr) == (2, "setup.sh: no profile no_such_site.yaml\n")
