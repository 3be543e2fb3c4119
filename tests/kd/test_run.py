"""Dispatch of a stage folder by its kind."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from kd.errors import DataError, RunError
from kd.files import write_json
from kd.jobfile.data_content import data_content, known_content, read_content
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.run import run_stage
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.stages.context import in_place
from slurm.submission.plan_difference import refuse_other_plan

SMALL = Path(__file__).resolve().parents[1] / "jobs" / "small.yaml"


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "missing"), ("{", "damaged"), (json.dumps({"kind": "trian"}), "mean 'train'")],
)
def test_a_folder_that_cannot_be_run_is_refused_by_name(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "spec.json").write_text(content)
    with pytest.raises(RunError, match=words) as error:
        run_stage(in_place(StageFolder(tmp_path)))
    assert str(tmp_path / "spec.json") in str(error.value)
    assert not (tmp_path / "result.json").exists()


@pytest.fixture
def planned(tmp_path: Path) -> StageFolder:
    """A stage planned with 300 files that only look like images, beside the job file's other stages."""
    photos = tmp_path / "photos"
    for number in range(300):
        path = photos / ("ab"[number % 2]) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{number:03}".encode())
    data = f"data={{name: image_folder, root: '{photos}', size: 8, test: 0.2, validation: 40}}"
    plan = plan_pipeline(load_pipeline(str(SMALL), overrides=[data]))
    run = RunFolder(tmp_path / "run")
    (job,) = (job for job in plan.jobs if job.key == JobKey("teacher", 1))
    folder = run.stage(job.key)
    folder.path.mkdir(parents=True)
    write_json(folder.spec, job.spec.to_json())
    write_json(run.counted, msgspec.to_builtins(plan.counted()))
    return folder


def test_images_replaced_after_the_plan_are_refused_by_the_job(planned: StageFolder, tmp_path: Path) -> None:
    for path in sorted((tmp_path / "photos").rglob("*.png"))[:43]:
        path.write_bytes(b"new")
    with pytest.raises(DataError, match=r"^43 of 300 files of \S+ have changed since kd-submit planned this run"):
        run_stage(in_place(planned))


def test_images_that_only_became_younger_are_read(planned: StageFolder, tmp_path: Path) -> None:
    for path in (tmp_path / "photos").rglob("*.png"):
        path.touch()
    with pytest.raises(DataError, match="no image") as error:  # read, and found to be none
        run_stage(in_place(planned))
    assert "planned" not in str(error.value)


def plan_again(planned: StageFolder) -> str:
    """Plan the stage with what lies there now; return its fingerprint."""
    root = json.loads(planned.spec.read_text())["data"]["root"]
    data = f"data={{name: image_folder, root: '{root}', size: 8, test: 0.2, validation: 40}}"
    plan = plan_pipeline(load_pipeline(str(SMALL), overrides=[data]), planned.run.path.parent)
    write_json(planned.run.counted, msgspec.to_builtins(plan.counted()))
    return plan.jobs[0].fingerprint


def complaint(planned: StageFolder) -> str:
    """Return what the job says of its data."""
    with pytest.raises(DataError) as error:
        run_stage(in_place(planned))
    return str(error.value)


def replaced(photo: Path, content: bytes, *, younger: bool) -> None:
    """Overwrite a photo of which a sample knows nothing."""
    before = photo.stat()
    photo.write_bytes(content)
    if not younger:
        os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_job_reads_all_of_a_large_folder_and_refuses_what_a_sample_does_not_show(
    planned: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd.jobfile.data_content.MOST_FILES_READ", 200)
    unread = tmp_path / "photos" / "b" / "003.png"
    first = plan_again(planned)
    assert "no image" in complaint(planned), "read, and found to be none"
    replaced(unread, b"new", younger=False)
    assert plan_again(planned) == first
    assert "is not what an earlier job read, though names, sizes and times are the same" in complaint(planned)
    unread.touch()
    assert "has changed since kd-submit planned this run" in complaint(planned)
    assert plan_again(planned) != first
    assert "no image" in complaint(planned)
    replaced(unread, b"003", younger=True)
    assert plan_again(planned) == first, "only touched: the same data"
    assert "no image" in complaint(planned)


def test_an_archive_that_changed_after_the_plan_is_refused_by_the_job(planned: StageFolder, tmp_path: Path) -> None:
    archive = tmp_path / "photos.tar"
    archive.write_bytes(bytes(5 << 20))
    content = read_content(str(archive), tmp_path)
    with open(archive, "r+b") as file:
        file.seek(300_000)  # between two samples
        file.write(b"x")
    assert data_content(str(archive)).identity == content.identity
    assert read_content(str(archive), tmp_path).identity != content.identity
    assert known_content(str(archive), tmp_path).identity != content.identity


INSTALLED = """
from torch import nn

def Net(num_classes, in_channels, image_size):
    \"\"\"A line.\"\"\"
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))
"""
OF_THE_PACKAGE = "model={name: 'installed_nets.nets:Net'}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as pip installs it, of version 1.0."""
    site = tmp_path / "site"
    (site / "installed_nets").mkdir(parents=True)
    (site / "installed_nets" / "__init__.py").touch()
    (site / "installed_nets" / "nets.py").write_text(INSTALLED)
    (site / "installed_nets-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(str(site))
    return site


def of_the_package() -> Plan:
    return plan_pipeline(load_pipeline(str(SMALL), overrides=[f"stages.teacher.{OF_THE_PACKAGE}"]))


def edited(site: Path) -> None:
    (site / "installed_nets" / "nets.py").write_text(INSTALLED.replace("nn.Flatten()", "nn.Flatten(), nn.ReLU()"))


def upgraded(site: Path) -> None:
    (site / "installed_nets-1.0.dist-info").rename(site / "installed_nets-1.1.dist-info")


def commented(site: Path) -> None:
    (site / "installed_nets" / "nets.py").write_text("# a comment\n" + INSTALLED.replace("A line", "Another"))


@pytest.mark.parametrize("change", [edited, upgraded])
def test_a_package_of_another_source_or_version_is_trained_again_and_named(
    change: Callable[[Path], None], package: Path, tmp_path: Path
) -> None:
    """By kd-submit, as another plan of the same run, and by a job that was planned before."""
    before = of_the_package()
    run = RunFolder(tmp_path / "run")
    for job in before.jobs:
        run.stage(job.key).path.mkdir(parents=True)
        write_json(run.stage(job.key).spec, job.spec.to_json())
    write_json(run.plan, msgspec.to_builtins(before.to_file()))
    write_json(run.counted, msgspec.to_builtins(before.counted()))
    commented(package)
    assert of_the_package().to_file() == before.to_file()
    change(package)
    now = of_the_package()
    pairs = {
        job.key.stage: (job.fingerprint, other.fingerprint) for job, other in zip(before.jobs, now.jobs, strict=True)
    }
    assert pairs["teacher"][0] != pairs["teacher"][1], "trained again"
    assert pairs["baseline"][0] == pairs["baseline"][1], "names nothing of it"
    said = "the source of model 'installed_nets.nets:Net' has changed"
    with pytest.raises(RunError, match=f"teacher: {said}"):
        refuse_other_plan(run, now)
    with pytest.raises(RunError, match=f"^{said} since kd-submit planned this run; submit it anew"):
        run_stage(in_place(run.stage(JobKey("teacher", 1))))
    assert "installed_nets" not in sys.modules
