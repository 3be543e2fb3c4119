"""torch.compile for real, with the compiler of this machine: the same training, and weights under the same names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from kd.train.weights import load_weights
from tests.conftest import REPOSITORY, need

PROGRAM = """
import sys
from pathlib import Path
from kd.rundir.folders import StageFolder
from kd.run import run_stage
from kd.stages.context import Interrupted, in_place
steps = int(sys.argv[2])
def stop_requested():
    global steps
    steps -= 1
    return steps == 0
try:
    run_stage(in_place(StageFolder(Path(sys.argv[1])), stop_requested=stop_requested))
except Interrupted:
    pass
"""


def test_a_compiled_training_is_the_eager_one_interrupted_or_not(run, spec, write_spec, tmp_path: Path) -> None:
    need(shutil.which("g++") is not None or torch.cuda.is_available(), "no C++ compiler, which torch.compile needs")
    eager = run(tmp_path / "eager", spec(precision="float32", epochs=2, ema={"decay": 0.9}))
    compiled = write_spec(tmp_path / "it", spec(precision="float32", epochs=2, ema={"decay": 0.9}, compile=True))
    environment = {"PYTHONPATH": str(REPOSITORY), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    for steps in (3, 0):  # a process of its own: torch's compiler warns of itself
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(compiled.path), str(steps)],
            env=os.environ | environment, check=True, timeout=280,
        )  # fmt: skip
    assert json.loads(compiled.result.read_text())["attempts"] == 2
    ours, theirs = (load_weights(folder.checkpoint / "last.safetensors")[0] for folder in (compiled, eager))
    assert list(ours) == list(theirs)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-4)
