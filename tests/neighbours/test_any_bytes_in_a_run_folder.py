"""Whatever stands in the place of a run folder's files, every command ends in order, and changes nothing else.

In order: with 0, 1 or 2 and no traceback, within 10 seconds and 500 MB. ``KD_EXAMPLES`` sets how often each is tried.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from kd.errors import run_command
from kd.files import sha256_file, write_json
from kd.report.command import main as kd_collect
from kd.rundir.folders import RunFolder
from kd.rundir.ownership import require_own
from kd.train_command import main as kd_train
from kd.trained.evaluate_command import main as kd_evaluate
from kd.trained.predict_command import main as kd_predict
from slurm.cluster.measured_throughput import read_history
from slurm.cluster.profile import Profile
from slurm.commands.cancel import main as kd_cancel
from slurm.commands.status import main as kd_status
from slurm.submission.executors import EXECUTORS
from slurm.submission.plan_difference import refuse_other_plan
from slurm.submission.resume import find_starting_point
from tests.slurm.made_runs import MadeRun, make_run, plan_of, student, teacher
from tests.slurm.resubmitting import order_of

EXAMPLES = int(os.environ.get("KD_EXAMPLES", "5"))
MOST_SECONDS, MOST_BYTES = 10, 500 << 20
STAGE = "stages/teacher/seed-1"
FILES = (
    *("plan.json", "journal.jsonl", "job.yaml", "launch.json", "provenance.json", "digests.json", "capabilities.json"),
    *("borrowed.json", "report.json", "code.zip"),
    *(f"{STAGE}/{name}" for name in ("spec.json", "result.json", "progress.json", "failure.json", "attempt.json")),
    *(f"{STAGE}/{name}" for name in ("metrics.csv", "checkpoint/best.safetensors", "log/attempt-1.log", ".lock")),
    "stages/student/seed-1/result.json",
)
OF_A_TRAINED_ONE = (
    *("plan.json", "counted.json", "borrowed.json", "own_code.zip", f"{STAGE}/spec.json", f"{STAGE}/result.json"),
    *(f"{STAGE}/{name}" for name in ("checkpoint/best.safetensors", "checkpoint/resume.pt", "metrics.csv", ".lock")),
    *(f"stages/student/seed-1/{name}" for name in ("spec.json", "result.json", "attempt.json", "checkpoint")),
)
JOB = """
pipeline: q
data: {name: digits, train_subset: 200, validation: 80}
seeds: [1]
stages:
  teacher: {kind: train, model: {name: convnet, width: 4}, epochs: 1, batch_size: 50,
            optimizer: {name: sgd, lr: 0.1}}
  student: {kind: distill, teacher: teacher, model: {name: convnet, width: 2}, epochs: 1, batch_size: 50,
            optimizer: {name: sgd, lr: 0.1}, loss: {ce: 0.5, kd: {weight: 0.5, temperature: 4}}}
"""


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


def speeds_for_kd_partitions(run: Path) -> int:
    """What kd-partitions reads of runs: how fast their trainings were."""
    return run_command(lambda: len(read_history(run.parent, "here", Profile())) and 0)


def train_the_student(run: Path) -> int:
    job = str(run.parent.parent / "job.yaml")
    return kd_train([job, "student", "--run", run.name, "--results", str(run.parent)])


COMMANDS: dict[str, Callable[[Path], int]] = {
    "kd-status": lambda run: kd_status([str(run)]),
    "kd-status --json": lambda run: kd_status([str(run), "--json"]),
    "kd-status --logs": lambda run: kd_status([str(run), "--logs", "teacher"]),
    "kd-cancel": lambda run: kd_cancel([str(run)]),
    "kd-submit": kd_submit_again,
    "kd-collect": lambda run: kd_collect([str(run), "-o", str(run.parent / "out" / "report.json")]),
    "kd-partitions": speeds_for_kd_partitions,
}
WITH_MODELS: dict[str, Callable[[Path], int]] = {
    "kd-train": train_the_student,
    "kd-evaluate": lambda run: kd_evaluate([str(run / STAGE)]),
    "kd-predict": lambda run: kd_predict([str(run / STAGE), str(run.parent.parent / "digit.png")]),
}


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A run with a job that is done, one that failed, and one that a process runs."""
    with among_others() as folder:
        made = make_run(folder, [1], name="trial")
        fill(made)
        yield made.run.path


@pytest.fixture(scope="module")
def trained() -> Iterator[Path]:
    """A run whose teacher was really trained."""
    with among_others() as folder:
        (folder / "job.yaml").write_text(JOB)
        Image.new("L", (8, 8), 100).save(folder / "digit.png")
        run = folder / "results" / "trial"
        assert kd_train([str(folder / "job.yaml"), "teacher", "--run", "trial", "--results", str(run.parent)]) == 0
        yield run


@contextmanager
def among_others() -> Iterator[Path]:
    """A folder with files of a person's own, and with somebody's run in its results."""
    folder = Path(tempfile.mkdtemp())
    (folder / "thesis").mkdir()
    (folder / "thesis" / "mine").write_text('{"format": 1}')
    fill(make_run(folder, [1], name="neighbour"))
    yield folder
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
        job={"attempt": 1, "cluster": "here"},
        device="cuda: NVIDIA H100",
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


ANY_TIME = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@ANY_TIME
@given(data=st.data())
def test_a_command_ends_in_order(command: Callable[[Path], int], original: Path, data: st.DataObject) -> None:
    try_with_another_file(command, original, FILES, data)


@pytest.mark.parametrize("command", WITH_MODELS.values(), ids=WITH_MODELS)
@ANY_TIME
@given(data=st.data())
def test_a_command_that_opens_models_ends_in_order(
    command: Callable[[Path], int], trained: Path, data: st.DataObject
) -> None:
    try_with_another_file(command, trained, OF_A_TRAINED_ONE, data)


def try_with_another_file(command: Callable[[Path], int], run: Path, files: Sequence[str], data: st.DataObject) -> None:
    """Put something in the place of one of the files, run the command, and put the run back as it was.

    The run itself is changed, not a copy: the journal's lines are of this very folder.
    """
    target = run / data.draw(st.sampled_from(files))
    kind = data.draw(st.sampled_from(("bytes", "json", "mutated", "mutated", "pipe", "link", "folder", "deep")))
    before = target.read_bytes() if target.is_file() else b"{}"
    with tempfile.TemporaryDirectory() as folder:
        backup = shutil.copytree(run, Path(folder) / "backup")
        try:
            put(target, kind, before, run.parent.parent / "thesis" / "mine", data)
            others = outside(run)
            with bounded():
                assert ended(command, run) in (0, 1, 2)
            assert outside(run) == others
        finally:
            for path in (run, run.parent / "out", run.parent / "beside"):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(backup, run)


def outside(run: Path) -> dict[Path, tuple[int, int, bytes] | int]:
    """All files around a run: mode, time of change in ns, bytes; of folders the mode."""
    own = {run, run.parent / "out", run.parent / "beside"}  # what the command was asked to write
    found: dict[Path, tuple[int, int, bytes] | int] = {}
    for path in run.parent.parent.rglob("*"):
        if own.isdisjoint((path, *path.parents)):
            state = path.lstat()
            found[path] = (state.st_mode, state.st_mtime_ns, path.read_bytes()) if path.is_file() else state.st_mode
    return found


@contextmanager
def bounded() -> Iterator[None]:
    with suppress(OSError):  # from now on the peak of this process counts anew, where Linux is asked
        Path("/proc/self/clear_refs").write_text("5")
    before, begin = peak_bytes(), time.monotonic()
    yield
    assert time.monotonic() - begin < MOST_SECONDS
    assert peak_bytes() - before < MOST_BYTES


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ended(command: Callable[[Path], int], run: Path) -> int | str | None:
    try:
        return command(run)
    except SystemExit as end:
        return end.code


def put(target: Path, kind: str, before: bytes, elsewhere: Path, data: st.DataObject) -> None:
    """Put something else in the place of a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
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
