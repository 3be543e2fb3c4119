"""A reference report is made by one command, and kept small with where it was made."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import reference
from kd.files import read_json
from tests.conftest import REPOSITORY


def test_make_reference_cnn_runs_the_shipped_pipeline_in_full() -> None:
    make = shutil.which("make")
    assert make is not None
    said = subprocess.run(
        [make, "-n", "--no-print-directory", "reference-cnn"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.rstrip().endswith("-m benchmarks.reference cnn")
    assert all((REPOSITORY / path).is_file() for path in reference.JOBS.values())


def test_the_report_is_kept_with_the_machine_and_replaces_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference, "JOBS", {"cnn": "tests/jobs/small.yaml"})
    monkeypatch.setenv("KD_THREADS", "1")
    kept = tmp_path / "reference" / "cnn"
    kept.mkdir(parents=True)
    (kept / "old").touch()
    assert reference.main(["cnn", "--tiny", "--executor", "debug", "--results", str(tmp_path)]) == 0
    assert {path.name for path in kept.iterdir()} == {"report.json", "report.md", "figures", "machine.json"}
    machine = read_json(kept / "machine.json")
    assert machine["missing"] == 0
    assert machine["jobs"] == len(list((tmp_path / "reference_cnn" / "stages").glob("*/seed-*")))
    assert machine["seconds"] > 0
    assert all(device.startswith(("cpu", "gpu", "cuda")) for device in machine["devices"])
    for line in (kept / "report.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("!["):
            assert (kept / line.partition("](")[2].rstrip(")")).is_file()
