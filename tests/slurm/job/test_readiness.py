"""Readiness: done and finished are read from files and checksums."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd.errors import RunError
from kd.files import read_json, write_json
from kd.rundir.attempt_record import AttemptRecord
from kd.rundir.claim import Claim
from kd.rundir.folders import StageFolder
from kd.rundir.stage_spec import read_spec
from slurm.job.readiness import already_done, find_parents
from tests.slurm.conftest import MakeStage

WEIGHTS = "checkpoint/best.safetensors"


def done(stage: StageFolder, previous: AttemptRecord | None = None) -> tuple[bool, list[str]]:
    said: list[str] = []
    claim = Claim(stage, "token", 0, previous)
    return already_done(stage, read_spec(stage), claim, said.append), said


def test_a_verified_result_is_done(make_stage: MakeStage) -> None:
    assert done(make_stage(files={WEIGHTS: b"w"})) == (True, ["already done: result.json and its artefacts verify"])


def test_without_a_result_earlier_state_is_kept(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.metrics.write_text("epoch\n")
    assert done(stage, AttemptRecord(fingerprint="of teacher")) == (False, [])
    assert done(stage) == (False, [])
    assert stage.metrics.exists()


@pytest.mark.parametrize("fault", ["edited weights", "another spec", "state of another spec"])
def test_what_does_not_belong_is_set_aside_and_kept(make_stage: MakeStage, fault: str) -> None:
    stage = make_stage(files={WEIGHTS: b"w"})
    previous = None
    if fault == "edited weights":
        (stage.path / WEIGHTS).write_bytes(b"W")
    elif fault == "another spec":
        write_json(stage.spec, {**read_json(stage.spec), "fingerprint": "new"})
    else:
        stage.result.unlink()
        previous = AttemptRecord(fingerprint="of an older spec")
    is_done, said = done(stage, previous)
    assert not is_done
    assert "training starts over" in said[0]
    assert sorted(os.listdir(stage.path)) == ["replaced-1", "spec.json"]
    assert (stage.path / "replaced-1" / WEIGHTS).is_file()


def test_a_report_is_always_made_anew(make_stage: MakeStage) -> None:
    assert done(make_stage("report", kind="report", files={"x": b"x"})) == (False, [])


def test_finished_parents_are_found(make_stage: MakeStage) -> None:
    parent, child = make_stage(files={WEIGHTS: b"w"}), make_stage("student", parents={"teacher": "teacher"})
    assert find_parents(child, read_spec(child)) == {"teacher": parent}


def test_a_parent_that_failed_is_named_with_its_reason(make_stage: MakeStage) -> None:
    parent, child = make_stage(), make_stage("student", parents={"teacher": "teacher"})
    with pytest.raises(RunError, match=r"parent teacher/seed-1 \('teacher'\) has not finished: "):
        find_parents(child, read_spec(child))
    write_json(parent.failure, {"error": "DataError", "message": "bad images"})
    with pytest.raises(RunError, match="has not finished: it failed: bad images"):
        find_parents(child, read_spec(child))


def test_a_parent_that_appears_late_on_shared_storage_is_waited_for(
    make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = make_stage("student", parents={"teacher": "teacher"})
    pauses: list[float] = []

    def finish(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            make_stage(files={WEIGHTS: b"w"})

    monkeypatch.setattr("slurm.job.readiness.time.sleep", finish)
    assert "teacher" in find_parents(child, read_spec(child), (1.0, 2.0, 4.0))
    assert pauses == [1.0, 2.0]


def test_a_parent_of_another_spec_is_refused(make_stage: MakeStage) -> None:
    parent, child = make_stage(files={WEIGHTS: b"w"}), make_stage("student", parents={"teacher": "teacher"})
    write_json(parent.result, {**read_json(parent.result), "fingerprint": "other"})
    with pytest.raises(RunError, match="holds the result of another spec"):
        find_parents(child, read_spec(child))


def test_a_report_takes_parents_as_they_are(make_stage: MakeStage, folder: Path) -> None:
    report = make_stage("report", kind="report", parents={"teacher": "teacher"})
    assert [parent.path.name for parent in find_parents(report, read_spec(report)).values()] == ["seed-1"]
