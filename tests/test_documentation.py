"""The documents tell the truth: links lead somewhere, commands and options exist, shipped files are named rightly."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/README.md")])
COMMANDS = (
    "kd-submit",
    "kd-status",
    "kd-cancel",
    "kd-collect",
    "kd-partitions",
    "kd-train",
    "kd-evaluate",
    "kd-predict",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    dead = [target for target in targets if target and not (page.parent / target).exists()]
    assert dead == []
    named = re.findall(r"`((?:jobs|docs|cluster_env|tests|benchmarks|slurm|kd)/[\w./-]+\.\w+)`", text)
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """What each command answers to ``--help``."""
    return {
        name: subprocess.run(
            [Path(sys.executable).with_name(name), "--help"], capture_output=True, text=True, check=True
        ).stdout
        for name in COMMANDS
    }


def test_every_option_in_the_documents_exists(helps: dict[str, str]) -> None:
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            found = re.search(rf"(?:^|[`\s])({'|'.join(COMMANDS)})\s([^`#]*)", line)
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", found[2]) if found else []:
                assert option in helps[found[1]], f"{page.name}: {found[1]} has no {option}"


def test_every_command_is_in_the_readme(helps: dict[str, str]) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [name for name in helps if name not in readme and name != "kd-train"] == []


def test_every_job_file_is_planned_dry_on_the_labs_cluster(tmp_path: Path) -> None:
    for job in sorted((REPOSITORY / "jobs").glob("*.yaml")):
        answer = subprocess.run(
            [Path(sys.executable).with_name("kd-submit"), job.stem, "--cluster", "markov", "--dry-run"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "KD_DATA": "/data", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        assert "#SBATCH --partition=markov_gpu" in answer.stdout
