"""The local executor's scheduler: processes of this machine that honour the job graph, so many at a time.

Ctrl-C asks the running stages to write a checkpoint and leaves a run that the same command continues.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kd.jobfile.plan import Plan, PlannedJob
from kd.rundir.failure import read_failure
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.journal import Journal
from kd.rundir.progress import read_progress
from kd.rundir.stage_result import read_result
from slurm.submission import submitit_calls
from slurm.submission.gpu_pool import gpu_pool
from slurm.submission.local_executor import LocalExecutor
from slurm.submission.warm_processes import LocalProcess, WarmProcesses

POLL_SECONDS = 0.1
PROGRESS_SECONDS = 5.0
PATIENCE_SECONDS = 60.0  # for a stage to write its checkpoint after Ctrl-C

Report = Callable[[str], None]


@dataclass
class Outcome:
    """How a local run ended."""

    done: set[JobKey] = field(default_factory=set)
    failed: dict[JobKey, str] = field(default_factory=dict)
    skipped: dict[JobKey, JobKey] = field(default_factory=dict)  # job -> the failed parent it needed
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 when everything finished, 1 when a stage failed, 130 after Ctrl-C."""
        return 130 if self.interrupted else int(bool(self.failed or self.skipped))


@dataclass
class _Running:
    process: LocalProcess
    gpus: tuple[str, ...]
    started: float
    reported: float
    epoch: int = -1


def run_local(
    plan: Plan, run: RunFolder, pending: Iterable[JobKey], done: Iterable[JobKey], workers: int, report: Report
) -> Outcome:
    """Run the pending jobs of a plan in processes of this machine, ``workers`` at a time, parents first."""
    scheduler = _Scheduler(plan, run, set(pending), Outcome(done=set(done)), workers, report)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # kd-cancel asks like Ctrl-C does
    with open(run.journal, "rb"):  # by this kd-cancel knows that the process is this run's, and ends no other
        try:
            scheduler.loop()
        except KeyboardInterrupt:
            scheduler.outcome.interrupted = True
            scheduler.stop()
            report("interrupted; the same command continues the run")
        finally:
            scheduler.processes.close()
    return scheduler.outcome


def run_in_process(
    plan: Plan, run: RunFolder, pending: Iterable[JobKey], done: Iterable[JobKey], report: Report
) -> Outcome:
    """Run the pending jobs one after another in this process (``--executor debug``)."""
    outcome = Outcome(done=set(done))
    wanted = set(pending)
    for job in plan.jobs:
        if job.key not in wanted:
            continue
        if blocker := _blocker(plan, job, outcome):
            outcome.skipped[job.key] = blocker
            report(f"{job.key}: not run, {blocker} failed")
            continue
        report(f"{job.key}: started")
        error = submitit_calls.run_debug(run.stage(job.key), run.submitted(job.key.stage))
        if error is None:
            outcome.done.add(job.key)
        else:
            outcome.failed[job.key] = _why(run, job.key)
        report(f"{job.key}: {outcome.failed.get(job.key, 'done')}")
    return outcome


class _Scheduler:
    """The loop's state: what waits, what runs, which GPUs are free."""

    def __init__(
        self, plan: Plan, run: RunFolder, pending: set[JobKey], outcome: Outcome, workers: int, report: Report
    ):
        self.plan, self.run, self.outcome, self.workers, self.report = plan, run, outcome, workers, report
        self.waiting = [job for job in plan.jobs if job.key in pending]
        self.running: dict[JobKey, _Running] = {}
        self.free_gpus = list(gpu_pool())
        self.gpus = len(self.free_gpus)
        self.threads = max(1, len(os.sched_getaffinity(0)) // workers)
        kinds = dict.fromkeys(job.spec.kind for job in self.waiting)
        self.processes = WarmProcesses(run, tuple(kinds), self.threads)
        self.journal = Journal(run.journal)
        self.journal.scheduling()

    def loop(self) -> None:
        """Start what is ready, notice what ended, until nothing is left."""
        while self.waiting or self.running:
            self._drop_blocked()
            self._start_ready()
            self._notice_ended()
            if self.running:
                time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Ask every running stage for a checkpoint and wait; a second Ctrl-C kills."""
        self.report(f"stopping {len(self.running)} running jobs after a checkpoint; Ctrl-C again to kill them")
        try:
            self._signal_all(signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE_SECONDS
            while self._any_runs() and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            self.report("killing them")
        for entry in self.running.values():
            entry.process.signal(signal.SIGKILL)

    def _any_runs(self) -> bool:
        return any(entry.process.running() for entry in self.running.values())

    def _signal_all(self, number: int) -> None:
        for entry in self.running.values():
            entry.process.signal(number)

    def _drop_blocked(self) -> None:
        for job in list(self.waiting):
            if blocker := _blocker(self.plan, job, self.outcome):
                self.waiting.remove(job)
                self.outcome.skipped[job.key] = blocker
                self.report(f"{job.key}: not run, {blocker} failed")

    def _start_ready(self) -> None:
        for job in list(self.waiting):
            if len(self.running) >= self.workers:
                return
            if self._ready(job):
                self.waiting.remove(job)
                self._start(job)

    def _ready(self, job: PlannedJob) -> bool:
        parents = self.plan.parents_of(job)
        if job.waits_for_all_ended:
            unended = {other.key for other in self.waiting} | set(self.running)
            return not unended.intersection(parents)
        has_gpu = not self.gpus or len(self.free_gpus) >= min(job.needs.gpus, self.gpus)
        return has_gpu and all(parent in self.outcome.done for parent in parents)

    def _start(self, job: PlannedJob) -> None:
        gpus = tuple(self.free_gpus[: job.needs.gpus])
        self.free_gpus = self.free_gpus[len(gpus) :]
        folder = self.run.stage(job.key)
        logs = self.run.submitted_alone(job.key)
        process = self.processes.start(folder, logs, gpus)
        self.journal.started(f"{LocalExecutor.name}:{process.pid}", LocalExecutor.name, {job.key: process.pid})
        now = time.monotonic()
        self.running[job.key] = _Running(process=process, gpus=gpus, started=now, reported=now)
        self.report(f"{job.key}: started")

    def _notice_ended(self) -> None:
        for key, entry in list(self.running.items()):
            if entry.process.running():
                self._report_progress(key, entry)
                continue
            del self.running[key]
            self.free_gpus += entry.gpus
            seconds = time.monotonic() - entry.started
            if read_result(self.run.stage(key)) is None:
                self.outcome.failed[key] = _why(self.run, key)
                self.report(f"{key}: failed after {seconds:.0f} s: {self.outcome.failed[key]}")
            else:
                self.outcome.done.add(key)
                self.report(f"{key}: done in {seconds:.0f} s{_accuracy(self.run, key)}")

    def _report_progress(self, key: JobKey, entry: _Running) -> None:
        if time.monotonic() - entry.reported < PROGRESS_SECONDS:
            return
        entry.reported = time.monotonic()
        progress = read_progress(self.run.stage(key))
        if progress and progress.epoch != entry.epoch:
            entry.epoch = progress.epoch
            value = f", {progress.metric.name} {progress.metric.value:.4f}" if progress.metric else ""
            self.report(f"{key}: epoch {progress.epoch}/{progress.epochs}{value}")


def _blocker(plan: Plan, job: PlannedJob, outcome: Outcome) -> JobKey | None:
    """Return the failed job because of which this one can never run, or None."""
    if job.waits_for_all_ended:
        return None
    for parent in plan.parents_of(job):
        if parent in outcome.failed:
            return parent
        if parent in outcome.skipped:
            return outcome.skipped[parent]
    return None


def _why(run: RunFolder, key: JobKey) -> str:
    failure = read_failure(run.stage(key))
    if failure is not None:
        return failure.reason
    return f"it ended without a result; its log: {run.submitted_alone(key)}"


def _accuracy(run: RunFolder, key: JobKey) -> str:
    result = read_result(run.stage(key))
    if result is None or result.test is None:
        return ""
    metric = result.metric or "accuracy"
    value = getattr(result.test.best, metric, None)
    return "" if value is None else f", test {metric} {value:.4f}"
