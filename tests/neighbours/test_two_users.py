"""Two users of one results folder, made for the test: what one leaves there does nothing to the other."""

from __future__ import annotations

import os
import pwd
import shutil
import site
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kd.files import sha256_file
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.rundir.borrowed_file import read_pins
from kd.rundir.folders import JobKey
from kd.rundir.plan_file import write_plan
from kd.rundir.stage_result import load_result
from tests.conftest import REPOSITORY, need
from tests.slurm.made_runs import MadeRun, RunFolder

JOB = """
pipeline: q
data: {name: digits, train_subset: 200, validation: 80}
seeds: [1]
resources: {gpus: 0, cpus: 1, memory: 2G, time: 10m}
stages:
  teacher: {kind: train, role: teacher, model: {name: convnet, width: 4}, epochs: 1, batch_size: 32,
            optimizer: {name: sgd, lr: 0.1}}
"""
STUDENT = """
  student: {kind: distill, role: distilled, teacher: teacher, model: {name: convnet, width: 2}, epochs: 1,
            batch_size: 32, optimizer: {name: sgd, lr: 0.1}, loss: {ce: 0.5, kd: {weight: 0.5, temperature: 4}}}
"""
COMMANDS = {
    "kd-submit": "slurm.commands.submit",
    "kd-status": "slurm.commands.status",
    "kd-cancel": "slurm.commands.cancel",
    "kd-collect": "kd.report.command",
}


@dataclass(frozen=True)
class Person:
    """An ordinary user of this machine."""

    name: str
    place: Path  # where all of them work
    python: Path  # that they can read

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def run(self, command: str, *arguments: str) -> tuple[int, str]:
        """Run a command as this user; return its exit code and all that it printed."""
        code = f"import sys; from {COMMANDS[command]} import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [self.python, "-c", code, *arguments],
            user=self.uid, group=self.uid, extra_groups=[], umask=0o022, cwd=self.place, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
            env={
                "PATH": "/usr/bin:/bin", "HOME": str(self.place), "USER": self.name, "LOGNAME": self.name,
                "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *site.getsitepackages()]),
                "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "KD_THREADS": "1",
            },
        )  # fmt: skip
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Person, Person]]:
    """The neighbour and the person, and a place where both work, with a results folder as /tmp is."""
    need(os.geteuid() == 0 and shutil.which("useradd") is not None, "two users cannot be made here (needs root)")
    place = Path(subprocess.check_output(["mktemp", "-d", "/tmp/kd-two-users.XXXX"], text=True).strip())
    place.chmod(0o755)
    interpreter = place / "python"
    interpreter.mkdir()
    # the interpreter may lie in root's home, where no one else may look
    subprocess.run(["mount", "--bind", sys.base_prefix, str(interpreter)], check=True)
    names = [f"kd{os.getpid()}{which}" for which in ("a", "b")]
    try:
        for name in names:
            subprocess.run(["useradd", "--no-create-home", "--user-group", name], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        yield tuple(Person(name, place, interpreter / "bin" / version) for name in names)  # type: ignore[misc]
    finally:
        subprocess.run(["umount", "--lazy", str(interpreter)], check=True)
        for name in names:
            subprocess.run(["userdel", name], check=False, capture_output=True)
        shutil.rmtree(place)


@pytest.fixture
def results(people: tuple[Person, Person]) -> Iterator[Path]:
    folder = people[0].place / "results"
    folder.mkdir()
    folder.chmod(0o1777)
    (people[0].place / "job.yaml").write_text(JOB)
    yield folder
    shutil.rmtree(folder)


def finished(results: Path, owner: Person) -> MadeRun:
    """A run of somebody's whose teacher has a result that no training made."""
    plan = plan_pipeline(load_pipeline(results.parent / "job.yaml"))
    run = RunFolder(results / "theirs")
    run.path.mkdir()
    write_plan(run, plan.to_file())
    weights = run.stage(JobKey("teacher", 1)).best
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"invented")
    made = MadeRun(run, plan)
    made.finish(JobKey("teacher", 1), files={"checkpoint/best.safetensors": sha256_file(weights)})
    for path in (run.path, *run.path.rglob("*")):
        os.chown(path, owner.uid, owner.uid)
    return made


def test_results_of_another_user_are_taken_where_they_are_asked_for(
    people: tuple[Person, Person], results: Path
) -> None:
    neighbour, person = people
    made = finished(results, neighbour)
    submit = ("kd-submit", "job.yaml", "--results", str(results), "--executor", "local", "--dry-run")
    code, printed = person.run(*submit)
    assert code == 0
    assert f"run theirs of {neighbour.name} has done 1 of these jobs; --reuse-from {neighbour.name} takes" in printed
    code, printed = person.run(*submit, "--reuse-from", neighbour.name)
    assert code == 0
    assert f"teacher/seed-1: taken from run theirs of {neighbour.name}" in printed
    made.run.stage(JobKey("teacher", 1)).result.chmod(0o666)
    code, printed = person.run(*submit, "--reuse-from", neighbour.name)
    assert code == 0
    assert "skipped run theirs" in printed


def test_a_run_of_another_user_is_looked_at_and_left_alone(people: tuple[Person, Person], results: Path) -> None:
    neighbour, person = people
    made = finished(results, neighbour)
    before = {path: path.stat().st_mtime_ns for path in made.run.path.rglob("*")}
    assert person.run("kd-status", str(made.run.path))[0] == 0
    assert person.run("kd-cancel", str(made.run.path)) == (0, "theirs: nothing to cancel\n")
    code, printed = person.run("kd-collect", str(made.run.path))
    assert (code, printed.count("\n")) == (2, 1), printed
    assert {path: path.stat().st_mtime_ns for path in made.run.path.rglob("*")} == before


def test_a_run_folder_that_a_neighbour_made_is_refused(people: tuple[Person, Person], results: Path) -> None:
    neighbour, person = people
    run, lock = results / "job", results / f".submitting-{person.uid}.lock"
    run.mkdir()
    run.chmod(0o777)
    lock.write_text("1\nnowhere\n")
    for path in (run, lock):
        os.chown(path, neighbour.uid, neighbour.uid)
    code, printed = person.run("kd-submit", "job.yaml", "--results", str(results), "--executor", "local")
    assert code == 2
    assert f"belongs to {neighbour.name}, who could put other code there" in printed
    assert list(run.iterdir()) == []


def test_a_student_learns_from_another_users_teacher(people: tuple[Person, Person], results: Path) -> None:
    neighbour, person = people
    (results.parent / "both.yaml").write_text(JOB + STUDENT)
    here = ("--results", str(results), "--executor", "local")
    code, printed = neighbour.run("kd-submit", "job.yaml", "--run", "theirs", *here)
    assert code == 0, printed
    code, printed = person.run("kd-submit", "both.yaml", "--run", "mine", "--reuse-from", neighbour.name, *here)
    assert code == 0, printed
    theirs, mine = RunFolder(results / "theirs").stage(JobKey("teacher", 1)), RunFolder(results / "mine")
    student = mine.stage(JobKey("student", 1))
    assert mine.stage(JobKey("teacher", 1)).path.resolve() == theirs.path
    assert (theirs.result.stat().st_uid, student.result.stat().st_uid) == (neighbour.uid, person.uid)
    found = load_result(student)
    assert found.test_accuracy is not None
    assert found.parents["teacher"].fingerprint == load_result(theirs).fingerprint
    assert read_pins(mine)["teacher/seed-1"].result == sha256_file(theirs.result)
    code, printed = person.run("kd-status", str(mine.path))
    assert code == 0
    assert f"theirs of {neighbour.name}" in printed
