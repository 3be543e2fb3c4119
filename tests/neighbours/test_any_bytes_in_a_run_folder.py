"""Whatever stands in the place of a run folder's files, every command ends with 0, 1 or 2, and changes nothing else."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd.errors import run_command
from kd.files import sha256_file, write_json
from kd.report.command import main as kd_collect
from kd.rundir.folders import RunFolder
from kd.rundir.ownership import require_own
from slurm.commands.cancel import main as kd_cancel
from slurm.commands.status import main as kd_status
from slurm.submission.executors import EXECUTORS
from slurm.submission.plan_difference import refuse_other_plan
from slurm.submission.resume import find_starting_point
from tests.slurm.made_runs import MadeRun, make_run, plan_of, student, teacher
from tests.slurm.resubmitting import order_of

EXAMPLES = int(os.environ.get("KD_EXAMPLES", "10"))
STAGE = "stages/teacher/seed-1"
FILES = (
    *("plan.json", "journal.jsonl", "job.yaml", "launch.json", "provenance.json", "digests.json", "capabilities.json"),
    *("borrowed.json", "report.json", "code.zip"),
    *(f"{STAGE}/{name}" for name in ("spec.json", "result.json", "progress.json", "failure.json", "attempt.json")),
    *(f"{STAGE}/{name}" for name in ("metrics.csv", "checkpoint/best.safetensors", "log/attempt-1.log", ".lock")),
    "stages/student/seed-1/result.json",
)


def kd_submit_again(run: Path) -> int:
    """What kd-submit reads of the run itself, and of the others beside it, before it sends anything."""
    return run_command(lambda: _starting_points(run))


def _starting_points(run: Path) -> int:
    plan = plan_of([1])
    for folder in (RunFolder(run), RunFolder(run.parent / "beside")):
        require_own(folder)
        refuse_other_plan(folder, plan)
        start = find_starting_point(replace(order_of(MadeRun(folder, plan)), executor=EXECUTORS["local"]))
        assert all("\n" not in line for line in start.lines())
    return 0


COMMANDS: dict[str, Callable[[Path], int]] = {
    "kd-status": lambda run: kd_status([str(run)]),
    "kd-status --json": lambda run: kd_status([str(run), "--json"]),
    "kd-status --logs": lambda run: kd_status([str(run), "--logs", "teacher"]),
    "kd-cancel": lambda run: kd_cancel([str(run)]),
    "kd-submit": kd_submit_again,
    "kd-collect": lambda run: kd_collect([str(run), "-o", str(run.parent / "out" / "report.json")]),
}


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A run with a job that is done, one that failed, and one that a process runs."""
    folder = Path(tempfile.mkdtemp())
    made = make_run(folder, [1], name="trial")
    fill(made)
    yield made.run.path
    shutil.rmtree(folder)


def fill(made: MadeRun) -> None:
    for planned in made.plan.jobs:
        write_json(made.run.stage(planned.key).spec, planned.spec.to_json())
    made.submit({teacher(): str(os.getpid())}, executor="local")
    folder = made.run.stage(teacher())
    folder.best.parent.mkdir()
    folder.best.write_bytes(b"weights")
    scores = {"accuracy": 0.9, "loss": 0.1, "f1_score": 0.9, "precision": 0.9, "recall": 0.9}
    measured = {"best": scores, "last": scores}
    made.finish(
        teacher(),
        files={"checkpoint/best.safetensors": sha256_file(folder.best)},
        test=measured,
        validation=measured,
        epochs=3,
        job={"attempt": 1},
        finished=time.time() + 5,
    )
    made.beat(teacher())
    made.fail(student(), "no room")
    folder.metrics.write_text("epoch,val_accuracy\n1,0.5\n2,0.6\n")
    folder.log.mkdir()
    folder.attempt_log(1).write_text("epoch 1\n")
    write_json(folder.attempt, {"token": "a", "attempt": 1, "host": "gpu1", "restarts": 0, "pid": 1})
    write_json(made.run.provenance, {"command": ["kd-submit"], "host": "gpu1", "time": 1.0})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("../.."),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mutated(draw: st.DrawFn, before: bytes) -> bytes:
    """Return a real file with one value of its JSON exchanged, or some of its bytes."""
    try:
        texts = before.splitlines() if b'{"event"' in before else [before]
        lines = [json.loads(text) for text in texts]
    except ValueError:
        start = draw(st.integers(0, len(before)))
        return before[:start] + draw(st.binary(max_size=6)) + before[start + draw(st.integers(0, 6)) :]
    value: Any = {"lines": lines}
    while isinstance(value, (dict, list)) and value:
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        if not isinstance(value[key], (dict, list)) or not value[key] or draw(st.integers(0, 3)) == 0:
            value[key] = draw(JSON)
            break
        value = value[key]
    return b"\n".join(json.dumps(line).encode() for line in lines) + b"\n"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_command_ends_in_order(command: Callable[[Path], int], original: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    with tempfile.TemporaryDirectory() as folder:
        # moved, not copied: the journal's lines are of this very folder
        run, target = original, original / name
        before = target.read_bytes() if target.is_file() else b"{}"
        others = Path(folder)
        (others / "mine").write_text("mine")
        kind = data.draw(st.sampled_from(("bytes", "json", "mutated", "mutated", "pipe", "link", "folder", "deep")))
        backup = others / "backup"
        shutil.copytree(original, backup)
        try:
            put(target, kind, before, others / "mine", data)
            begin = time.monotonic()
            assert ended(command, run) in (0, 1, 2)
            assert time.monotonic() - begin < 10
            assert (others / "mine").read_text() == "mine"
        finally:
            shutil.rmtree(original)
            shutil.copytree(backup, original)
            shutil.rmtree(original.parent / "out", ignore_errors=True)


def ended(command: Callable[[Path], int], run: Path) -> int | str | None:
    try:
        return command(run)
    except SystemExit as end:
        return end.code


def put(target: Path, kind: str, before: bytes, elsewhere: Path, data: st.DataObject) -> None:
    """Put something else in the place of a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    match kind:
        case "bytes":
            target.write_bytes(data.draw(st.binary(max_size=60)))
        case "json":
            target.write_text(json.dumps(data.draw(JSON)))
        case "mutated":
            target.write_bytes(data.draw(mutated(before)))
        case "pipe":
            os.mkfifo(target)
        case "link":
            target.symlink_to(elsewhere)
        case "folder":
            target.mkdir()
        case "deep":
            target.write_text("[" * 200_000)
