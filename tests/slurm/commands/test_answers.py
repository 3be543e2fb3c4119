"""``kd-submit --version`` and ``--list`` answer without a job file."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from kd.jobfile.load import load_pipeline
from slurm.commands.submit import main


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"kd {version('kd-slurm')}\n"


def test_the_list_has_every_shipped_job_file_with_what_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list"])
    assert ended.value.code == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    jobs = sorted((Path(__file__).resolve().parents[3] / "jobs").glob("*.yaml"))
    assert list(rows) == [job.stem for job in jobs]
    assert rows["quickstart"] == load_pipeline("quickstart").about
