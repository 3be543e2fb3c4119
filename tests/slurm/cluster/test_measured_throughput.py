"""Speeds learnt from finished stages: which results count, whose GPU it was, and what is compared with what."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from kd.files import write_json
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.stage_spec import AnySpec, spec_from_json
from slurm.cluster.measured_throughput import (
    NEWEST_RUNS,
    Measurement,
    measured_speeds,
    measured_work,
    read_history,
    setup_of,
)
from tests.kd.conftest import CE_AND_KD, make_spec
from tests.slurm.conftest import IDENTITY
from tests.slurm.made_cluster import profile

A100 = "cuda: NVIDIA A100-SXM4-40GB"
SITE = profile({"name": "old", "gpu_type": "v100"}, "new", gpu_speed={"a100": 2.5, "v100": 1.0})


def spec(kind: str = "train", **settings: Any) -> AnySpec:
    return spec_from_json({**make_spec("teacher", epochs=100, **settings), "kind": kind})


def finish(results: Path, run: str = "r", stage: str = "teacher", seed: int = 1, **changes: Any) -> Path:
    """Write a finished stage; return its result.json."""
    folder = RunFolder(results / run).stage(JobKey(stage, seed))
    write_json(RunFolder(results / run).plan, {})
    written = spec().to_json()
    write_json(folder.spec, {**written, "resources": {**written["resources"], "gpu_type": changes.pop("pinned", None)}})
    identity = {name: written[name] for name in IDENTITY}
    job = {"cluster": "lab", "partition": "new", **changes.pop("job", {})}
    usual = {"images_per_second": 9000.0, "seconds": {"train": 500.0}, "epochs": 100, "device": A100, "job": job}
    write_json(folder.result, {**identity, **usual, "files": {}, "finished": 1.0, **changes})
    return folder.result


def test_a_finished_stage_tells_its_speed(tmp_path: Path) -> None:
    finish(tmp_path)
    assert read_history(tmp_path, "lab", SITE) == (
        Measurement(gpu_type="a100", setup=setup_of(spec()) or "", images_per_second=9000.0, seconds_per_epoch=5.0),
    )


@pytest.mark.parametrize(
    ("changes", "gpu_type"),
    [
        ({}, "a100"),
        ({"pinned": "a100_80g"}, "a100_80g"),
        ({"job": {"partition": "old"}}, "v100"),
        ({"device": "cuda: Tesla V100-SXM2-32GB"}, "v100"),
        ({"device": "cuda: NVIDIA H100 80GB HBM3"}, "h100"),
    ],
)
def test_the_gpu_is_the_pinned_one_or_the_partitions_or_the_devices(
    tmp_path: Path, changes: dict[str, Any], gpu_type: str
) -> None:
    finish(tmp_path, **changes)
    assert [found.gpu_type for found in read_history(tmp_path, "lab", SITE)] == [gpu_type]


def test_a_device_is_called_what_the_profile_calls_it(tmp_path: Path) -> None:
    finish(tmp_path)
    own = profile("new", gpu_speed={"nvidia_a100": 2.0})
    assert read_history(tmp_path, "lab", own)[0].gpu_type == "nvidia_a100"


@pytest.mark.parametrize(
    "changes",
    [
        {"job": {"cluster": "elsewhere"}},
        {"device": "cpu: AMD EPYC, 2 threads", "job": {"partition": "old"}},
        {"device": "cuda: NVIDIA A100-SXM4-40GB MIG 3g.20gb"},
        {"device": "cuda: GPU of tomorrow"},
        {"images_per_second": 0},
        {"images_per_second": None},
        {"epochs": 0},
        {"seconds": {}},
        {"job": None},
        {"device": None},
    ],
)
def test_what_says_nothing_of_a_gpu_here_is_passed_over(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = finish(tmp_path)
    assert len(read_history(tmp_path, "lab", SITE)) == 1
    if changes.get("job", ...) is None:
        write_json(result, {"job": None})
    else:
        finish(tmp_path, **changes)
    assert read_history(tmp_path, "lab", SITE) == ()


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    finish(tmp_path, seed=1).write_text("{cut")
    finish(tmp_path, seed=2).with_name("spec.json").unlink()
    finish(tmp_path, stage="other")
    assert len(read_history(tmp_path, "lab", SITE)) == 1
    assert read_history(tmp_path / "nothing", "lab", SITE) == ()


def test_the_newest_runs_and_few_seeds_of_each_stage_are_read(tmp_path: Path) -> None:
    for number in range(NEWEST_RUNS + 2):
        finish(tmp_path, run=f"r{number}", images_per_second=float(number + 1))
        os.utime(tmp_path / f"r{number}" / "plan.json", (number, number))
    speeds = [found.images_per_second for found in read_history(tmp_path, "lab", SITE)]
    assert speeds == [float(number) for number in range(NEWEST_RUNS + 2, 2, -1)]
    for seed in range(9):
        finish(tmp_path, run="r0", seed=seed)
    os.utime(tmp_path / "r0" / "plan.json", (999, 999))
    assert len(read_history(tmp_path, "lab", SITE)) == NEWEST_RUNS + 1


def test_a_setup_is_the_work_of_an_epoch_and_nothing_else() -> None:
    same = spec(optimizer={"name": "adamw", "arguments": {}}, checkpoint_every=3)
    assert same.data is not None
    same = structs.replace(same, seed=3, data=structs.replace(same.data, root="/elsewhere"))
    assert setup_of(same) == setup_of(spec())
    for other in (spec(batch_size=64), spec(model="resnet18"), spec(loss=CE_AND_KD), spec("distill")):
        assert setup_of(other) not in (setup_of(spec()), None)
    assert setup_of(spec("report")) is None, "a report trains nothing"
    assert setup_of(structs.replace(same, resources=structs.replace(same.resources, gpus=2))) != setup_of(spec())


def measured(gpu_type: str, images: float, setup: str = "one", seconds: float = 1.0) -> Measurement:
    return Measurement(gpu_type=gpu_type, setup=setup, images_per_second=images, seconds_per_epoch=seconds)


def test_speeds_stay_where_nothing_was_measured() -> None:
    assert measured_speeds({"a100": 2.5}, []) == {"a100": 2.5}


def test_types_that_did_the_same_work_are_compared() -> None:
    history = [measured("a100", 300), measured("v100", 100), measured("v100", 100)]
    assert measured_speeds({"a100": 2.5, "v100": 1.0}, history) == pytest.approx({"a100": 2.5, "v100": 2.5 / 3})


def test_types_that_did_other_work_are_not_compared() -> None:
    history = [measured("a100", 10, "large"), measured("v100", 1000, "small")]
    assert measured_speeds({"a100": 2.5, "v100": 1.0}, history) == {"a100": 2.5, "v100": 1.0}


def test_the_same_work_counts_before_other_work() -> None:
    history = [
        *(measured("a100", 300, "large"), measured("v100", 100, "large")),
        *(measured("a100", 110, "small"), measured("v100", 100, "small")),
    ]
    speeds = measured_speeds({"a100": 2.5, "v100": 1.0}, history, "small")
    assert speeds["a100"] / speeds["v100"] == pytest.approx(1.1)
    speeds = measured_speeds({"a100": 2.5, "v100": 1.0}, history, "another")
    assert speeds["a100"] / speeds["v100"] == pytest.approx(1 / ((1 / 3 + 1 / 1.1) / 2))


def test_a_type_measured_alone_keeps_its_speed() -> None:
    assert measured_speeds({"a100": 2.5}, [measured("a100", 300)]) == {"a100": 2.5}


def test_work_is_epochs_of_the_same_setup_at_speed_one() -> None:
    setup = setup_of(spec()) or ""
    history = [measured("a100", 1, setup, 4.0), measured("v100", 1, setup, 12.0), measured("v100", 1, "other", 999.0)]
    assert measured_work(spec(), history, {"a100": 2.5, "v100": 1.0}) == pytest.approx(100 * (10.0 + 12.0) / 2)
    assert measured_work(spec(batch_size=1), history, {}) is None
