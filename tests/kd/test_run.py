"""Dispatch of a stage folder by its kind."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from kd.errors import DataError, RunError
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.run import run_stage
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from kd.stages.context import in_place

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
