"""A reference report is made by one command, and kept small with where it was made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import reference
from kd.files import read_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("target", "name"), [("reference-cnn", "cnn"), ("reference NAME=privileged", "privileged")])
def test_make_reference_runs_a_job_file_in_full(target: str, name: str) -> None:
    make = shutil.which("make")
    assert make is not None
    said = subprocess.run(
        [make, "-n", "--no-print-directory", *target.split()],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.rstrip().endswith(f"-m benchmarks.reference {name}")


@pytest.mark.parametrize("words", reference.JOBS.values(), ids=list(reference.JOBS))
def test_the_job_files_of_references_plan(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_DATA", "data")
    job, *settings = words
    overrides = [word for word in settings if word != "--set"]
    plan = plan_pipeline(load_pipeline(str(REPOSITORY / job), overrides=overrides, tiny=True))
    assert plan.comparisons or job in ("jobs/cnn_pipeline.yaml", "jobs/vit_pipeline.yaml")


def test_the_report_is_kept_with_the_machine_and_replaces_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "JOBS", {"cnn": ("tests/jobs/small.yaml",)})
    monkeypatch.setenv("KD_THREADS", "1")
    kept = tmp_path / "reference" / "cnn"
    kept.mkdir(parents=True)
    (kept / "old").touch()
    assert reference.main(["cnn", "--tiny", "--executor", "debug", "--results", str(tmp_path)]) == 0
    assert {path.name for path in kept.iterdir()} == {
        "report.json",
        "report.md",
        "figures",
        "job.yaml",
        "machine.json",
        "further.json",
    }
    assert str(tmp_path) not in (kept / "report.json").read_text() + (kept / "report.md").read_text()
    machine = read_json(kept / "machine.json")
    assert machine["missing"] == 0
    assert machine["jobs"] == len(list((tmp_path / "reference_cnn" / "stages").glob("*/seed-*")))
    assert machine["seconds"] > 0
    assert all(device.startswith(("cpu", "gpu", "cuda")) for device in machine["devices"])
    for line in (kept / "report.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("!["):
            assert (kept / line.partition("](")[2].rstrip(")")).is_file()
