"""Every path of a run folder, in one place. What the files hold is read by the other modules of this package.

results/<run>/
    job.yaml plan.json provenance.json journal.jsonl   what was asked, planned, from which code, and submitted
    launch.json                                        what a job must know of the place it runs in
    capabilities.json                                  what the cluster could do at the last submission
    counted.json                                       what counts by its content, and its digests
    code.zip                                           the code that runs, frozen at submission
    own_code.zip                                       the user's modules, frozen at submission, if there are any
    borrowed.json                                      jobs taken over from other runs, and whose those are
    digests.json                                       checksums of finished artefacts, remembered
    compiled/                                          what torch's compiler made, for all jobs of the run
    submitted/<stage>/                                 scripts, pickles and raw logs of the scheduler's jobs
    stages/<stage>/seed-<seed>/                        one job: see StageFolder
    replaced/<time>/<stage>/                           stages that --again has set aside
    report.json report/                                what kd-collect assembled
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kd.errors import RunError, did_you_mean

# Files of a stage folder by their names in it: jobs write them on scratch under these names too.
SPEC = "spec.json"
RESULT = "result.json"
METRICS = "metrics.csv"
CHECKPOINT = "checkpoint"
BEST = f"{CHECKPOINT}/best.safetensors"  # weights of the epoch chosen on validation images
LAST = f"{CHECKPOINT}/last.safetensors"  # weights of the last epoch
CACHE = f"{CHECKPOINT}/views.safetensors"  # a teacher's outputs
GATE = f"{CHECKPOINT}/gate.safetensors"  # the fitted gate over several teachers
TRIALS = f"{CHECKPOINT}/trials.json"  # the finished trials of a search


def exported_model(extension: str) -> str:
    """Return the name of a model that was written as a file to deploy."""
    return f"{CHECKPOINT}/model.{extension}"


SEED_PREFIX = "seed-"
REPLACED = "replaced-"
SINGLE = "single"  # the folder of a stage that is not repeated over seeds


class JobKey(NamedTuple):
    """Names one job of a run: a stage and, where the stage is repeated over seeds, its seed."""

    stage: str
    seed: int | None

    def __str__(self) -> str:
        return self.stage if self.seed is None else f"{self.stage}/seed-{self.seed}"

    @property
    def words(self) -> str:
        """The job as a sentence names it: ``teacher seed 42``."""
        return self.stage if self.seed is None else f"{self.stage} seed {self.seed}"


@dataclass(frozen=True, slots=True)
class StageFolder:
    """The folder of one job. ``result.json``, written last and atomically, *is* "done"."""

    path: Path

    @property
    def spec(self) -> Path:
        """What to do, resolved; written before submission."""
        return self.path / SPEC

    @property
    def metrics(self) -> Path:
        """One CSV row per epoch."""
        return self.path / METRICS

    @property
    def progress(self) -> Path:
        """Heartbeat of a running job: epoch, metric, speed, where it runs."""
        return self.path / "progress.json"

    @property
    def tracked(self) -> Path:
        """How far the training's curves are in TensorBoard, W&B, MLflow."""
        return self.path / "tracked.json"

    @property
    def drawn(self) -> Path:
        """What the model makes of some validation images, for the report to draw."""
        return self.path / "drawn.json"

    @property
    def result(self) -> Path:
        """What came out, with the checksum of every artefact."""
        return self.path / RESULT

    @property
    def failure(self) -> Path:
        """Why the last attempt failed, in words."""
        return self.path / "failure.json"

    @property
    def checkpoint(self) -> Path:
        """Folder of the weights (``best.safetensors``, ``last.safetensors``) and of ``resume.pt``."""
        return self.path / CHECKPOINT

    @property
    def best(self) -> Path:
        """Weights of the epoch that was chosen on validation images."""
        return self.path / BEST

    @property
    def trial(self) -> StageFolder:
        """The folder of a search's trial under way."""
        return StageFolder(self.path / "trial")

    @property
    def log(self) -> Path:
        """Folder of the job's own logs, one file per attempt."""
        return self.path / "log"

    @property
    def attempt(self) -> Path:
        """Which attempt trains this folder, or was the last to do so."""
        return self.path / "attempt.json"

    @property
    def lock(self) -> Path:
        """Held by the attempt that trains this folder, so that two of them cannot."""
        return self.path / ".lock"

    def attempt_log(self, number: int) -> Path:
        """Return the log of one attempt, counted from 1."""
        return self.log / f"attempt-{number}.log"

    def attempt_logs(self) -> list[Path]:
        """Return the logs of all attempts that there are."""
        return list(self.log.glob("*.log"))

    def next_replaced(self) -> Path:
        """Return a new name for the folder that results which no longer count are moved to."""
        return self.path / f"{REPLACED}{1 + len(list(self.path.glob(f'{REPLACED}*')))}"

    def state_entries(self) -> list[Path]:
        """Return what attempts published here: all but bookkeeping, logs, and results that were replaced."""
        files = (self.spec, self.result, self.failure, self.progress, self.attempt, self.log)
        bookkeeping = {path.name for path in files}
        hidden = (".", REPLACED)
        return [
            entry
            for entry in sorted(self.path.iterdir())
            if entry.name not in bookkeeping and not entry.name.startswith(hidden)
        ]

    def free_name_beside(self) -> Path:
        """Return a name beside this folder that nothing has: where it is moved when a link takes its place."""
        number = 1
        while (name := self.path.with_name(f"{self.path.name}.{REPLACED}{number}")).exists():
            number += 1
        return name

    @property
    def run(self) -> RunFolder:
        """The run this job belongs to."""
        return RunFolder(self.path.parent.parent.parent)

    @property
    def run_around(self) -> RunFolder | None:
        """The planned run that this folder, or the trial in it, lies in; None for a folder by itself."""
        runs = map(RunFolder, self.path.parents[2:4])
        return next((run for run in runs if run.plan.is_file()), None)

    @property
    def key(self) -> JobKey:
        """The job's name, as its folder is called."""
        seed = self.path.name.removeprefix(SEED_PREFIX)
        return JobKey(self.path.parent.name, None if self.path.name == SINGLE else int(seed))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run, on storage that all nodes share."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def job_file(self) -> Path:
        """The job file as submitted, with every ``--set`` applied."""
        return self.path / "job.yaml"

    @property
    def plan(self) -> Path:
        """The job graph."""
        return self.path / "plan.json"

    @property
    def counted(self) -> Path:
        """Digests of what fingerprints count by content, so that what has changed can be named."""
        return self.path / "counted.json"

    @property
    def provenance(self) -> Path:
        """Commit, uncommitted diff, command line, versions, host."""
        return self.path / "provenance.json"

    @property
    def journal(self) -> Path:
        """What was submitted, line by line."""
        return self.path / "journal.jsonl"

    @property
    def launch(self) -> Path:
        """What a job must know of the place it runs in: executor, cluster, scratch candidates, restart budget."""
        return self.path / "launch.json"

    @property
    def capabilities(self) -> Path:
        """What the cluster could do when the run was last submitted."""
        return self.path / "capabilities.json"

    @property
    def code(self) -> Path:
        """The frozen code, importable as it is."""
        return self.path / "code.zip"

    @property
    def own_code(self) -> Path:
        """The modules of the user's own that the job file lists, frozen."""
        return self.path / "own_code.zip"

    @property
    def lock(self) -> Path:
        """Held while a command submits, so that two of them cannot."""
        return self.path / ".lock"

    @property
    def borrowed(self) -> Path:
        """Which jobs other runs have done for this one."""
        return self.path / "borrowed.json"

    @property
    def digests(self) -> Path:
        """Checksums of finished artefacts, so that they are not read again at every submission."""
        return self.path / "digests.json"

    @property
    def stages(self) -> Path:
        """Folder of all stage folders."""
        return self.path / "stages"

    def job_folders(self) -> dict[str, list[StageFolder]]:
        """Return the folders of all jobs that are there, by stage."""
        found: dict[str, list[StageFolder]] = {}
        for path in sorted(self.stages.glob("*/*")):
            found.setdefault(path.parent.name, []).append(StageFolder(path))
        return found

    def replaced(self, when: str) -> Path:
        """Return the folder of the stages that were set aside at that time."""
        return self.path / "replaced" / when

    @property
    def compiled(self) -> Path:
        """What torch's compiler made, for all jobs of the run."""
        return self.path / "compiled"

    @property
    def report_json(self) -> Path:
        """The report as data."""
        return self.path / "report.json"

    @property
    def report(self) -> Path:
        """Folder of report.md, report.html, summary.csv and figures."""
        return self.path / "report"

    def submitted(self, stage: str) -> Path:
        """Return the folder of the scheduler's own files of a stage (scripts, pickles, raw logs)."""
        return self.path / "submitted" / stage

    def submitted_alone(self, key: JobKey) -> Path:
        """Return the folder of the files of one job that is sent by itself, as local jobs are."""
        return self.submitted(key.stage) / self.stage(key).path.name

    def stage(self, key: JobKey) -> StageFolder:
        """Return the folder of one job."""
        name = SINGLE if key.seed is None else f"{SEED_PREFIX}{key.seed}"
        return StageFolder(self.stages / key.stage / name)

    def require(self) -> RunFolder:
        """Return self when this is a run folder; raise RunError naming what is missing otherwise."""
        if not self.path.is_dir():
            raise RunError(f"{self.path}: no such run folder")
        if not self.plan.is_file():
            if self.code.is_file() or self.launch.is_file():
                raise RunError(f"{self.path}: kd-submit was interrupted before it had planned this run; run it again")
            raise RunError(f"{self.path}: not a run folder (it holds no plan.json)")
        return self


def results_folder() -> Path:
    """Return the default folder of all runs: ``$KD_RESULTS``, else ``results`` in the working folder."""
    return Path(os.environ.get("KD_RESULTS") or "results")


def submission_lock(results: Path) -> Path:
    """Return this user's lock in a results folder: held while a submission compares its jobs with other runs'."""
    return results / f".submitting-{os.geteuid()}.lock"


def runs_in(results: Path) -> list[RunFolder]:
    """Return the planned runs of a results folder, by name."""
    return [RunFolder(plan.parent) for plan in sorted(results.glob("*/plan.json"))]


def find_run(name: str, results: Path) -> RunFolder:
    """Return the run a person named: a path, or the name of a run in ``results``; with an absolute path.

    Raises RunError, naming the nearest run, when there is none.
    """
    for path in (Path(name), results / name):
        run = RunFolder(Path(os.path.abspath(path)))
        if run.plan.is_file():
            return run
    if Path(name).is_dir():
        return RunFolder(Path(os.path.abspath(name))).require()
    known = [run.name for run in runs_in(results)]
    raise RunError(f"{name}: no such run folder, nor a run in {results}{did_you_mean(Path(name).name, known)}")
