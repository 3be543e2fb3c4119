"""Staging: work, parents and data come to scratch, verified; what does not fit stays where it is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kd.errors import CheckpointError
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import StageFolder
from slurm.job.staging import Staging
from tests.kd.conftest import damaged
from tests.slurm.conftest import MakeStage

WEIGHTS = "checkpoint/best.safetensors"


@pytest.fixture
def scratch(folder: Path) -> Path:
    """An empty scratch folder."""
    (folder / "scratch").mkdir()
    return folder / "scratch"


def stage(
    folder: StageFolder,
    scratch: Path | None,
    parents: dict[str, StageFolder] | None = None,
    data: Path | None = None,
    reserve_bytes: int = 0,
) -> tuple[Staging, list[str]]:
    said: list[str] = []
    return Staging(folder, scratch, parents or {}, data, warn=said.append, reserve_bytes=reserve_bytes), said


def test_without_scratch_everything_is_used_in_place(make_stage: MakeStage, folder: Path) -> None:
    parent, child = make_stage(files={WEIGHTS: b"weights"}), make_stage("student")
    data = folder / "data.tar"
    data.write_bytes(b"data")
    staging, said = stage(child, None, {"teacher": parent}, data)
    assert staging.work == child.path
    assert staging.parents == {"teacher": parent.path}
    assert staging.data_root is None
    assert said == []
    record = staging.record()
    assert (record.work, record.data, record.bytes_in) == ("in place", "in place", 0)


def test_work_parents_and_data_come_to_scratch(make_stage: MakeStage, folder: Path, scratch: Path) -> None:
    parent, child = make_stage(files={WEIGHTS: b"weights"}), make_stage("student")
    data = folder / "data.tar"
    data.write_bytes(b"data!")
    staging, said = stage(child, scratch, {"teacher": parent}, data)
    staged = StageFolder(staging.parents["teacher"])
    assert staging.work == scratch / "work"
    assert (staged.path / WEIGHTS).read_bytes() == b"weights"
    assert read_object(staged.result) == read_object(parent.result)
    assert staged.spec.read_bytes() == parent.spec.read_bytes()
    assert damaged(staged) == []
    assert staging.data_root is not None
    assert staging.data_root.read_bytes() == b"data!"
    assert said == []
    expected = 12 + parent.spec.stat().st_size + parent.result.stat().st_size
    assert staging.record().bytes_in == expected


def test_an_earlier_attempt_is_continued_on_scratch(make_stage: MakeStage, scratch: Path) -> None:
    child = make_stage("student")
    state = {"checkpoint/resume.pt": "r", "checkpoint/resume.previous.pt": "p", "metrics.csv": "m"}
    others = ("log/attempt-1.log", "progress.json", "failure.json", "checkpoint/.resume.pt.x.part", "replaced-1/old")
    for name in (*state, *others):
        (child.path / name).parent.mkdir(exist_ok=True)
        (child.path / name).write_text(state.get(name, "not state"))
    staging, _ = stage(child, scratch)
    found = [path for path in staging.work.rglob("*") if path.is_file()]
    assert {str(path.relative_to(staging.work)): path.read_text() for path in found} == state
    assert {entry.name for entry in child.state_entries()} == {"checkpoint", "metrics.csv"}
    inode = (child.path / "metrics.csv").stat().st_ino
    staging.publish(["metrics.csv"])  # unchanged since it was staged in
    assert (child.path / "metrics.csv").stat().st_ino == inode


@pytest.mark.parametrize("on_scratch", [True, False])
@pytest.mark.parametrize("fault", ["edited", "missing"])
def test_a_parent_that_was_touched_is_refused_by_name(
    make_stage: MakeStage, scratch: Path, on_scratch: bool, fault: str
) -> None:
    parent, child = make_stage(files={WEIGHTS: b"weights"}), make_stage("student")
    if fault == "edited":
        (parent.path / WEIGHTS).write_bytes(b"Weights")
    else:
        (parent.path / WEIGHTS).unlink()
    with pytest.raises(CheckpointError) as caught:
        stage(child, scratch if on_scratch else None, {"teacher": parent})
    assert str(caught.value).startswith(f"{parent.path / WEIGHTS}: ")
    assert "run its stage again" in str(caught.value)


def test_too_little_scratch_means_working_in_place_with_a_warning(
    make_stage: MakeStage, folder: Path, small_disk: Path
) -> None:
    parent, child = make_stage(files={WEIGHTS: bytes(700 << 10)}), make_stage("student")
    data = folder / "data.tar"
    data.write_bytes(b"data")
    staging, said = stage(child, small_disk, {"teacher": parent}, data, reserve_bytes=500 << 10)
    assert (staging.work, staging.scratch, staging.data_root) == (child.path, None, None)
    assert staging.parents == {"teacher": parent.path}
    assert os.listdir(small_disk) == []
    assert len(said) == 1
    assert f"{1200 << 10:,} are needed" in said[0]


def test_data_alone_stays_shared_when_only_the_rest_fits(make_stage: MakeStage, folder: Path, small_disk: Path) -> None:
    child = make_stage("student")
    data = folder / "data.tar"
    data.write_bytes(bytes(900 << 10))
    staging, said = stage(child, small_disk, data=data, reserve_bytes=300 << 10)
    assert staging.work == small_disk / "work"
    assert staging.data_root is None
    assert "is read in place" in said[0]


def test_scratch_that_fills_up_half_way_is_given_up(
    make_stage: MakeStage, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, child = make_stage(files={WEIGHTS: bytes(2 << 20)}), make_stage("student")
    monkeypatch.setattr("slurm.job.staging.free_bytes", lambda folder: 1 << 40)
    staging, said = stage(child, small_disk, {"teacher": parent})
    assert (staging.work, staging.parents) == (child.path, {"teacher": parent.path})
    assert os.listdir(small_disk) == []
    assert "No space left on device" in said[0]


def test_results_are_published_from_scratch_and_counted(make_stage: MakeStage, scratch: Path) -> None:
    child = make_stage("student")
    staging, _ = stage(child, scratch)
    (staging.work / "metrics.csv").write_text("epoch\n1\n")
    staging.publish(["metrics.csv"])
    assert child.metrics.read_text() == "epoch\n1\n"
    assert staging.record().bytes_out == 8


def test_a_full_scratch_is_told_from_other_errors(make_stage: MakeStage, scratch: Path) -> None:
    staging, _ = stage(make_stage("student"), scratch)
    full = RuntimeError("writer failed")
    full.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert staging.scratch_is_full(full)
    assert not staging.scratch_is_full(RuntimeError("a bug"))
    in_place, _ = stage(make_stage("other"), None)
    assert not in_place.scratch_is_full(full)


def test_a_nearly_full_scratch_is_suspected_where_the_library_hides_the_error(
    make_stage: MakeStage, small_disk: Path
) -> None:
    staging, _ = stage(make_stage("student"), small_disk, reserve_bytes=800 << 10)
    assert not staging.scratch_is_full(RuntimeError("a bug"))
    (small_disk / "filled").write_bytes(bytes(900 << 10))
    assert staging.scratch_is_full(RuntimeError("writer failed"))


def test_errors_name_what_was_copied_and_not_the_copy(folder: Path, make_stage: MakeStage) -> None:
    data = folder / "images.tar"
    data.write_bytes(b"not an archive")
    parent = make_stage("teacher", files={"checkpoint/best.safetensors": b"weights"})
    scratch = folder / "scratch"
    scratch.mkdir()
    staged = Staging(make_stage("student"), scratch, {"teacher": parent}, data, warn=lambda text: None, reserve_bytes=0)
    said = f"{staged.data_root}: damaged; {staged.parents['teacher']}/result.json: odd"
    assert staged.durable_names(said) == f"{data}: damaged; {parent.path}/result.json: odd"
    in_place = Staging(make_stage("student"), None, {}, data, warn=lambda text: None, reserve_bytes=0)
    assert in_place.durable_names(f"{data}: None") == f"{data}: None"
