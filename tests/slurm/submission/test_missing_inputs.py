"""What jobs read is looked for before they are queued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kd.jobfile.plan import Plan, plan_pipeline
from kd.jobfile.stage import Pipeline
from slurm.cluster.profile import Profile
from slurm.submission.missing_inputs import missing_caches, missing_inputs


def plan(model: Any, **data: Any) -> Plan:
    stage = {"kind": "train", "model": model, "epochs": 1, "optimizer": {"name": "sgd", "lr": 0.1}}
    return plan_pipeline(
        Pipeline.model_validate(
            {
                "pipeline": "test",
                "data": {"name": "digits", "validation": 10, **data},
                "seeds": [1, 2],
                "stages": {"teacher": stage},
            }
        )
    )


def missing(given: Plan) -> list[str]:
    return missing_inputs(given, [job.key for job in given.jobs])


def test_a_file_of_weights_that_is_not_there_is_named_once(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    given = plan({"name": "resnet18", "pretrained": str(weights)})
    assert missing(given) == [f"stages.teacher: pretrained: there is no file {weights}"]
    weights.touch()
    assert missing(given) == []


def test_a_csv_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    given = plan("resnet18", name="labelled_images", class_column="species", size=8, root=str(tmp_path))
    assert missing(given) == [f"data.csv: {table}: No such file or directory"]
    table.touch()
    assert missing(given) == [f"data.csv: {table}: it is empty"]
    table.write_text("image_path,label\n")
    assert missing(given) == []


def test_a_folder_of_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    given = plan("resnet18", name="labelled_images", class_column="species", size=8, root=str(tmp_path / "gone"))
    assert missing(given) == [f"data.root: {tmp_path}/gone does not exist (docs/data.md says what to put there)"]


def test_only_the_jobs_that_are_sent_count(tmp_path: Path) -> None:
    assert missing_inputs(plan({"name": "resnet18", "pretrained": str(tmp_path / "gone.pt")}), []) == []


def test_published_weights_are_looked_for_in_the_cache_of_the_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    given = plan({"name": "resnet18", "pretrained": True})
    keys = [job.key for job in given.jobs]
    (line,) = missing_caches(given, keys, Profile())
    assert line.startswith(f"pretrained: {tmp_path}/torch/hub/checkpoints has no resnet18-*.pth")
    theirs = tmp_path / "theirs" / "hub" / "checkpoints"
    theirs.mkdir(parents=True)
    (theirs / "resnet18-f37072fd.pth").touch()
    assert missing_caches(given, keys, Profile(environment={"TORCH_HOME": str(tmp_path / "theirs")})) == []
