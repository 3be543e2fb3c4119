"""A wheel holds all that a user needs: commands, job files, cluster profiles, report templates."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_an_installed_wheel_finds_job_files_and_profiles(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(REPOSITORY, source, ignore=shutil.ignore_patterns(".*", "results", "build", "*.egg-info"))
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "venv"
    venv.create(installed, with_pip=False)
    packages = Path(_run(installed / "bin" / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    _run(sys.executable, "-m", "pip", "--python", installed / "bin" / "python", "install", "--no-deps", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    shown = _run(installed / "bin" / "kd-submit", "quickstart", "--cluster", "markov", "--dry-run", cwd=empty)
    assert "#SBATCH --partition=markov_gpu" in shown
    shipped = installed / "share" / "kd"
    assert (shipped / "jobs" / "schema.json").is_file()
    assert (shipped / "cluster_env" / "constraints.txt").is_file()
    where = _run(installed / "bin" / "python", "-c", "import kd; print(kd.__file__)", cwd=empty)
    assert Path(where).is_relative_to(installed)
    page = "import kd.report.pages as p; from importlib.resources import files; print(files('kd.report') / 'templates')"
    assert any(Path(_run(installed / "bin" / "python", "-c", page, cwd=empty)).iterdir())


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    answer = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()
