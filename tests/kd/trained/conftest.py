"""A trained model on digits and an exported file of it, made once."""

from __future__ import annotations

import pytest

from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.run import run_stage
from kd.rundir.folders import RunFolder
from kd.stages.context import in_place

JOB = """\
pipeline: small
data: {name: digits, train_subset: 300, validation: 100}
seeds: [1]
stages:
  teacher: {kind: train, model: {name: convnet, width: 8}, epochs: 4, batch_size: 32,
    optimizer: {name: adamw, lr: 0.02}, precision: float32}
  file: {kind: export, of: teacher, format: onnx}
"""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The finished stages of a small job."""
    base = tmp_path_factory.mktemp("trained")
    (base / "small.yaml").write_text(JOB)
    run = RunFolder(base / "run")
    for job in plan_pipeline(load_pipeline(str(base / "small.yaml"))).jobs:
        folder = run.stage(job.key)
        folder.path.mkdir(parents=True)
        write_json(folder.spec, job.spec.to_json())
        run_stage(in_place(folder, parents={name: run.stage(parent).path for name, parent in job.parents.items()}))
    return run
