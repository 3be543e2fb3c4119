"""Running out of memory ends in one line that names what to lower."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kd.errors import MemoryFull
from kd.train.memory import memory_for
from tests.kd.conftest import make_spec

pytestmark = pytest.mark.cpu  # limits of the machine's memory

LIMITED = """
import resource, sys
from pathlib import Path
import torch
import kd.stages.train
from kd.errors import UserError
from kd.run import run_stage
from kd.rundir.folders import StageFolder
from kd.stages.context import in_place

used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), -1))
try:
    run_stage(in_place(StageFolder(Path(sys.argv[1]))))
except UserError as error:
    print(f"{type(error).__name__}: {error}")
"""


def ends(tmp_path: Path, spec: dict, room: int) -> str:
    """Return what a stage says when it may take only so many bytes more than torch does."""
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = [sys.executable, "-c", LIMITED, str(tmp_path), str(room)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_a_batch_that_does_not_fit_names_batch_size(tmp_path: Path) -> None:
    spec = make_spec(batch_size=2000, augment={"crop": 0, "flip": False})
    spec["settings"]["model"]["arguments"] = {"width": 96}
    spec["data"]["arguments"] |= {"train": 2100, "size": 16}
    line = "MemoryFull: the machine's memory is full while training with batch_size 2000; lower batch_size, or set"
    assert ends(tmp_path, spec, 500 << 20).splitlines()[-1].startswith(line)


def test_images_that_do_not_fit_name_the_data(tmp_path: Path) -> None:
    spec = make_spec()
    spec["data"]["arguments"] |= {"train": 60_000, "size": 32}
    said = ends(tmp_path, spec, 300 << 20).splitlines()[-1]
    assert said.startswith("MemoryFull: the machine's memory is full while the images of synthetic are loaded; give")
    assert "resources.memory" in said


def test_a_gpu_that_is_full_says_how_large_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        total_memory = 80 << 30

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties())
    line = r"^the GPU's \(80 GiB\) memory is full while training; lower batch_size$"
    with pytest.raises(MemoryFull, match=line), memory_for("training", "lower batch_size"):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_another_error_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="shapes differ"), memory_for("training", "lower batch_size"):
        raise RuntimeError("shapes differ")
