"""Shipped files are found in a checkout and in an installed wheel; job files by path and by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kd import places
from kd.errors import SpecError
from kd.places import find_job_file, shipped


def test_a_checkout_s_own_files_are_found() -> None:
    assert (shipped("jobs") / "cnn_pipeline.yaml").is_file()


def test_an_installed_wheel_s_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = tmp_path / "environment" / "share" / "kd" / "jobs"
    installed.mkdir(parents=True)
    monkeypatch.setattr(places, "__file__", str(tmp_path / "site-packages" / "kd" / "places.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    assert shipped("jobs") == installed


def test_files_of_a_user_s_installation_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "__file__", str(tmp_path / "site-packages" / "kd" / "places.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nothing here"))
    monkeypatch.setattr("site.USER_BASE", str(tmp_path / "user"))
    assert shipped("jobs") == tmp_path / "user" / "share" / "kd" / "jobs"


@pytest.mark.parametrize("name", ["cnn_pipeline", "cnn_pipeline.yaml", "jobs/cnn_pipeline.yaml", "jobs/cnn_pipeline"])
def test_a_shipped_job_file_is_found_from_anywhere(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_job_file(name) == shipped("jobs") / "cnn_pipeline.yaml"


def test_a_file_that_is_there_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cnn_pipeline.yaml").touch()
    assert find_job_file("cnn_pipeline.yaml") == Path("cnn_pipeline.yaml")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jobs/cnn_pipelin.yaml", r"^jobs/cnn_pipelin\.yaml: no such job file \(did you mean 'cnn_pipeline'\?\)$"),
        ("elsewhere/cnn_pipeline.yaml", r"^elsewhere/cnn_pipeline\.yaml: no such job file"),
        (".", r"^\.: a folder, not a job file$"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=message):
        find_job_file(name)
