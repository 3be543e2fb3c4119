"""What is said when a run's name already means another plan."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from kd.errors import RunError
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.source_digests import source_digest
from kd.jobfile.versions import VERSIONS
from kd.rundir.folders import RunFolder
from slurm.submission.plan_difference import UNRECORDED, changed_jobs, refuse_other_plan

SMALL = Path(__file__).resolve().parents[2] / "jobs" / "small.yaml"


def plan(*overrides: str) -> Plan:
    return plan_pipeline(load_pipeline(str(SMALL), overrides=overrides))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder as the small job leaves it, before anything has run."""
    return written(RunFolder(tmp_path / "run"), plan())


def written(folder: RunFolder, plan: Plan) -> RunFolder:
    for job in plan.jobs:
        folder.stage(job.key).path.mkdir(parents=True)
        write_json(folder.stage(job.key).spec, job.spec.to_json())
    write_json(folder.plan, msgspec.to_builtins(plan.to_file()))
    write_json(folder.counted, msgspec.to_builtins(plan.counted()))
    return folder


def test_the_same_plan_is_welcome(run: RunFolder) -> None:
    assert changed_jobs(run, plan()) == []
    refuse_other_plan(run, plan())


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.baseline.epochs=9", "(baseline: epochs was 2, is 9)"),
        ("stages.teacher.model.width=9", "(teacher: model.arguments.width was 8, is 9)"),
        ("stages.distilled.loss.kd.temperature=2", "(distilled: loss.kd.arguments.temperature was 4.0, is 2.0)"),
        ("stages.baseline.clip=1", "(baseline: clip was nothing, is 1.0)"),
    ],
)
def test_what_differs_is_named_where_it_does(run: RunFolder, override: str, words: str) -> None:
    """A changed teacher's students differ too, but that goes without saying."""
    with pytest.raises(RunError) as caught:
        refuse_other_plan(run, plan(override))
    assert words in str(caught.value)


def test_many_differences_are_counted(run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"\(baseline: .*, \d+ more\)"):
        refuse_other_plan(
            run, plan("stages.baseline.optimizer={name: adamw, lr: 1}", "stages.baseline.augment={crop: 1, flip: true}")
        )


def test_an_edited_model_is_named(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = source_digest
    edited = lambda module, function: "other" if module.endswith("convnet") else real(module, function)  # noqa: E731
    monkeypatch.setattr("kd.jobfile.fingerprint.source_digest", edited)
    with pytest.raises(RunError, match=r"teacher: the source of model 'convnet' has changed[;)]"):
        refuse_other_plan(run, plan())


def test_other_images_under_the_same_names_are_counted(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(300):
        path = photos / ("ab"[number % 2]) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number % 256]) * 40)
    data = f"data={{name: image_folder, root: '{photos}', size: 8, test: 0.2, validation: 40}}"
    folder = written(RunFolder(tmp_path / "run"), plan(data))
    refuse_other_plan(folder, plan(data))
    for path in sorted(photos.rglob("*.png"))[1:130:3]:
        path.write_bytes(bytes(40))
    with pytest.raises(RunError, match=rf"teacher: 43 of 300 files of {photos} have changed[;)]"):
        refuse_other_plan(folder, plan(data))
    (photos / "a/new.png").write_bytes(b"new")
    (photos / "a/000.png").unlink()
    with pytest.raises(RunError, match=rf"43 of 300 .*, 1 of 300 files of {photos} are new, 1 of 300 files of"):
        refuse_other_plan(folder, plan(data))


def test_an_older_kd_left_no_record_of_what_it_counted(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.counted.unlink()
    monkeypatch.setitem(VERSIONS, "models", VERSIONS["models"] + 1)
    with pytest.raises(RunError, match=UNRECORDED):
        refuse_other_plan(run, plan())


def test_a_raised_version_is_named(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERSIONS, "models", VERSIONS["models"] + 1)
    with pytest.raises(RunError, match="teacher: the declared version of kd's models code has changed"):
        refuse_other_plan(run, plan())
