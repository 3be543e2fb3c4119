"""A job whose training only counts, run as a process: ``python counting_job.py FOLDER EXECUTOR [STEPS]``.

It saves and publishes what it counted as a training does, so that signals, kills and second copies can be tried on the
real payload within seconds.
"""

from __future__ import annotations

import sys
import time
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import msgspec

import kd.run
import slurm.job.payload
from kd.files import write_json, write_text
from kd.rundir.bounded_json import read_object
from kd.stages.context import Interrupted, StageContext
from slurm.job.payload import StageJob
from slurm.job.preemption import StopSignals

IDENTITY = ("format", "pipeline", "stage", "seed", "kind", "role", "fingerprint", "parents")
RESUME, BEST = "checkpoint/resume.pt", "checkpoint/best.safetensors"
STEPS = int(sys.argv[3]) if len(sys.argv) > 3 else 20


def count(context: StageContext) -> dict[str, Any]:
    """Count to STEPS from the last saved number; the result tells at which numbers the counting began."""
    spec = read_object(context.folder.spec) or {}
    saved = context.work / RESUME
    lines = saved.read_text().split() if saved.exists() else []
    first = int(lines[-1]) if lines else 0
    for step in range(first + 1, STEPS + 1):
        time.sleep(0.02)
        lines.append(str(step))
        stopping = context.stop_requested()
        if stopping or step % 5 == 0:
            write_text(saved, "\n".join(lines))
            context.publish([RESUME])
        write_json(context.folder.progress, {"step": step, "first": first, "work": str(context.work)})
        if stopping:
            raise Interrupted(f"stopped after step {step}")
    write_text(context.work / BEST, "\n".join(lines))
    identity = {key: spec[key] for key in IDENTITY}
    result = {
        "finished": time.time(),
        "first": first,
        **identity,
        "files": context.publish([BEST]),
        "job": msgspec.to_builtins(context.facts()),
    }
    write_json(context.folder.result, result)
    return result


if __name__ == "__main__":
    kd.run.run_stage = count
    slurm.job.payload.claim_stage = partial(slurm.job.payload.claim_stage, busy_seconds=0.5)  # type: ignore[assignment]
    StopSignals.outlive = partialmethod(StopSignals.outlive, 0.5)  # type: ignore[assignment]
    StageJob(Path(sys.argv[1]), sys.argv[2])()
