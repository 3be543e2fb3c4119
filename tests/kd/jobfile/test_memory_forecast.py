"""What a training's images take of memory, known before they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import MemoryFull
from kd.jobfile.image_counts import Counts, image_counts
from kd.jobfile.machine_memory import usable_memory
from kd.jobfile.memory_forecast import images_forecast
from kd.rundir.stage_spec import spec_from_json
from tests.kd.conftest import make_spec

MANY = {
    "name": "synthetic",
    "root": None,
    "arguments": {"size": 32, "train": 180_000, "test": 20_000},
    "validation": 1000,
    "train_subset": None,
    "test_subset": None,
}


def test_the_images_are_counted_with_their_copies() -> None:
    found = images_forecast(spec_from_json({**make_spec(), "data": MANY}))
    assert found is not None
    assert found.read == 200_000 * 3 * 32 * 32
    assert 2 * found.read < found.memory < 4.3 * found.read + (300 << 20)
    assert found.beyond(8 << 30, "it", "x") is None
    line = found.beyond(1 << 30, "resources.memory", "set it higher")
    assert line is not None
    assert line.startswith("the 200,000 images of synthetic take 0.6 GiB as they are read, at least ")
    assert line.endswith("and resources.memory has 1.0 GiB: set it higher")


def test_class_folders_are_counted_by_suffix_and_other_sets_are_left_to_the_job(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/2.JPG", "train/b/notes.txt", "test/a/3.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert image_counts("image_folder", str(tmp_path), {"size": 8}) == Counts(2, 1)
    assert image_counts("medmnist", str(tmp_path), {"flag": "pathmnist"}) is None


def test_the_memory_of_a_job_is_the_least_limit_of_its_control_groups(tmp_path: Path) -> None:
    own = tmp_path / "cgroup"
    own.write_text("0::/slurm/job_7/step_0\n")
    step = tmp_path / "slurm/job_7/step_0"
    step.mkdir(parents=True)
    (step / "memory.max").write_text("max\n")
    (step.parent / "memory.max").write_text("1048576\n")
    assert usable_memory(tmp_path, own) == 1048576
    assert usable_memory(tmp_path, tmp_path / "none") > 1048576


def test_a_job_whose_images_cannot_fit_ends_in_one_line_before_it_loads_them(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd.run.usable_memory", lambda: 1 << 30)
    with pytest.raises(MemoryFull, match=r"200,000 images .* has 1\.0 GiB: give it more \(resources\.memory\)"):
        run(tmp_path, {**make_spec(), "data": MANY})
