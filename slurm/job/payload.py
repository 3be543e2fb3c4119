"""Runs one attempt at one stage, inside the job. A job unpickles the path of a stage folder and nothing else.

    log -> claim -> already done? -> parents finished? -> scratch -> staging -> kd.run -> result.json
    stop signal -> checkpoint published -> scratch removed -> requeue within the budget -> wait for Slurm to
    end this run

The files decide what is done: that the job was started (afterok) proves nothing. The only module of ``slurm``
that imports the training code, and only inside the job.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from kd.errors import ClusterError, RunError, UserError
from kd.files import deny_others_to_write, staying
from kd.rundir import plan_file
from kd.rundir.claim import Claim, Superseded, claim_stage
from kd.rundir.failure import Failure, write_failure
from kd.rundir.folders import StageFolder
from kd.rundir.journal import Journal
from kd.rundir.launch import LaunchFile, read_launch
from kd.rundir.ownership import linked_entry
from kd.rundir.result_sections import JobFacts
from kd.rundir.stage_spec import AnySpec, read_spec
from slurm.job.attempt_log import attempt_log
from slurm.job.granted_gpus import require_gpus
from slurm.job.job_environment import JobIdentity, job_identity, set_thread_counts
from slurm.job.preemption import StopSignals, requeue_job
from slurm.job.publish import free_bytes, hit_full_disk, is_full
from slurm.job.readiness import already_done, find_parents
from slurm.job.scratch import Scratch, scratch_folder
from slurm.job.staging import Staging

RESERVE_BYTES = 1 << 30  # of scratch, for the checkpoints a job writes
PARENT_PAUSES = (1.0, 2.0, 4.0, 8.0)  # shared storage may show a parent's last file late on another node


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What differs for a job between the executors."""

    on_slurm: bool = False  # its signals, its variables, a requeue; parents finished on other nodes
    raises: bool = False  # a failure reaches a debugger; elsewhere it ends in exit code 1


SURROUNDINGS: Mapping[str, Surroundings] = {
    "slurm": Surroundings(on_slurm=True),
    "local": Surroundings(),
    "debug": Surroundings(raises=True),
}


@dataclass(frozen=True, slots=True)
class StageJob:
    """Runs one attempt at a stage. ``executor`` is its name."""

    folder: Path
    executor: str

    def __call__(self) -> None:
        """Run the stage, or see that it is done. A failure ends in failure.json and exit code 1 (debug: raises)."""
        deny_others_to_write()
        around = SURROUNDINGS[self.executor]
        folder = StageFolder(Path(self.folder))
        if not folder.path.is_dir():
            raise RunError(f"{folder.path}: no such stage folder; was the run moved or removed?")
        if linked := linked_entry(folder.path):
            raise RunError(f"{linked}: a link, which this job would write through; remove it and run kd-submit again")
        if around.on_slurm:
            set_thread_counts(os.environ)
        job = job_identity(os.environ) if around.on_slurm else JobIdentity()
        announcement = f"job {job.job_id or os.getpid()} on {socket.gethostname()}"
        with (
            attempt_log(folder, announcement) as number,
            StopSignals(on_slurm=around.on_slurm) as stop,
            staying(folder.path),
        ):
            try:
                _Attempt(folder, self.executor, job, number, stop, read_launch(folder.run)).run()
            except Exception as caught:
                error = _explained(caught, folder)
                if around.raises:
                    if stop.asked_by(signal.SIGINT):
                        raise KeyboardInterrupt from error
                    raise error from error.__cause__
                print(_message(error) if _is_expected(error) else traceback.format_exc(), file=sys.stderr)
                sys.exit(1)  # not the exception: submitit would print its traceback once more


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: at what, by whom, and what it knows of the place."""

    folder: StageFolder
    executor: str
    job: JobIdentity
    number: int
    stop: StopSignals
    launch: LaunchFile

    def run(self) -> None:
        """Claim the folder and train; hand over to Slurm's next run of this job when asked to stop."""
        from kd.stages.context import Interrupted

        spec = read_spec(self.folder)
        with claim_stage(self.folder, self.job, self.number, spec.fingerprint, _log) as claim:
            try:
                if not already_done(self.folder, spec, claim, _log):
                    self._train_until_done(spec, claim)
                self.folder.failure.unlink(missing_ok=True)
            except Superseded:
                raise  # the folder is another attempt's now: nothing may be written there
            except Exception as error:
                if not (isinstance(error, Interrupted) and self.stop.requeue):
                    self._write_failure(_explained(error, self.folder))
                    raise
                self._hand_over(claim)

    def _train_until_done(self, spec: AnySpec, claim: Claim) -> None:
        """Train. Training goes on after a TERM that no kill followed, and in place when the scratch disk fills up."""
        from kd.stages.context import Interrupted

        self.folder.failure.unlink(missing_ok=True)
        if SURROUNDINGS[self.executor].on_slurm and self.launch.require_gpus:
            require_gpus(spec.resources.gpus, os.environ)
        parents = find_parents(self.folder, spec, PARENT_PAUSES if SURROUNDINGS[self.executor].on_slurm else ())
        candidates: Sequence[str] = () if spec.kind == plan_file.REPORT else self.launch.scratch
        while True:
            with scratch_folder(candidates, self.job, os.environ, self.launch.submit_tmpdir) as scratch:
                try:
                    scratch_ran_full = self._train(spec, parents, claim, scratch)
                    if not scratch_ran_full:
                        return
                    _log("scratch ran full: going on in place, from the last checkpoint on shared storage")
                    candidates = ()
                    continue
                except Interrupted:
                    if not self.stop.terminated:
                        raise
            _log(f"saved after {self.stop.describe()}; waiting for Slurm to end this job")
            self.stop.outlive()
            if self.stop.requeue:
                raise Interrupted("asked to hand over")
            _log("the job lives on: training continues")

    def _train(self, spec: AnySpec, parents: Mapping[str, StageFolder], claim: Claim, scratch: Scratch) -> bool:
        """Stage in, train and publish. Return whether a full scratch disk ended it early."""
        from kd.run import run_stage
        from kd.stages.context import StageContext

        _log(scratch.reason)
        staging = Staging(
            self.folder,
            scratch.path,
            parents,
            _data_root(spec),
            warn=_log,
            still_ours=claim.require,
            reserve_bytes=RESERVE_BYTES,
        )
        facts = self._facts(claim, scratch)
        context = StageContext(
            folder=self.folder,
            work=staging.work,
            parents=staging.parents,
            data_root=staging.data_root,
            stop_requested=lambda: self.stop.stop_requested() or claim.superseded(),
            publish=staging.publish,
            facts=lambda: structs.replace(facts, staging=staging.record()),
        )
        try:
            run_stage(context)
        except UserError as error:
            error.args = (staging.durable_names(str(error)),)
            raise
        except Exception as error:
            if _is_expected(error) or not staging.scratch_is_full(error):
                raise
            return True
        return False

    def _facts(self, claim: Claim, scratch: Scratch) -> JobFacts:
        """Return what result.json records of the job; what was staged is added when it is written."""
        return JobFacts(
            executor=self.executor,
            cluster=self.launch.cluster,
            job_id=self.job.job_id,
            partition=self.job.partition,
            host=socket.gethostname(),
            attempt=self.number,
            restarts=claim.restarts,
            submitted=self._submitted(),
            started=time.time(),
            scratch=scratch.reason,
        )

    def _submitted(self) -> float | None:
        """Return when this job was submitted, so that the report knows how long it waited."""
        newest = Journal(self.folder.run.journal).submissions()
        return next((found.time for found in newest.values() if found.job_id == self.job.job_id), None)

    def _hand_over(self, claim: Claim) -> None:
        """Requeue this job and wait until Slurm ends this run. Raises ClusterError when it cannot go on."""
        try:
            budget = self.launch.max_restarts
            if claim.restarts >= budget:
                raise ClusterError(
                    f"stopped by {self.stop.describe()} after {claim.restarts} restarts (max_restarts: {budget}); "
                    "its checkpoint is kept: run kd-submit again to go on"
                )
            assert self.job.job_id is not None  # only Slurm asks for a requeue
            _log(f"saved after {self.stop.describe()}; requeueing (restart {claim.restarts + 1} of {budget})")
            requeue_job(self.job.job_id)
            if not self.stop.await_kill():
                raise ClusterError(f"job {self.job.job_id} was requeued, yet Slurm does not end its present run")
        except ClusterError as error:
            self._write_failure(error)
            raise
        sys.exit(1)

    def _write_failure(self, error: Exception) -> None:
        failure = Failure(
            error=type(error).__name__,
            message=_message(error),
            traceback="".join(traceback.format_exception(type(error), error, error.__traceback__)),
            attempt=self.number,
            time=time.time(),
            job_id=self.job.job_id,
            host=socket.gethostname(),
        )
        try:
            write_failure(self.folder, failure)
        except OSError as full:
            _log(f"{self.folder.failure} cannot be written: {full}")


def _data_root(spec: AnySpec) -> Path | None:
    return Path(spec.data.root) if spec.data and spec.data.root else None


def _explained(error: Exception, folder: StageFolder) -> Exception:
    """Return the error as a person should see it: a full disk is no bug, nor is a run that was moved away."""
    if not folder.path.is_dir():
        gone = RunError(f"{folder.path} was moved or deleted while this job ran; kd-submit from its new place goes on")
        gone.__cause__ = error
        return gone
    if _is_expected(error) or not (hit_full_disk(error) or is_full(folder.path)):
        return error
    explained = RunError(
        f"{folder.path}: the disk is full or your quota is used up ({free_bytes(folder.path):,} bytes free); "
        "make room and run kd-submit again to go on from the last checkpoint"
    )
    explained.__cause__ = error
    return explained


def _is_expected(error: Exception) -> bool:
    """Return whether ``error`` is a person's affair, to be explained in one line, and no bug."""
    from kd.stages.context import Interrupted

    return isinstance(error, (UserError, Interrupted))


def _message(error: Exception) -> str:
    """Return one line in words."""
    from kd.stages.context import Interrupted

    if isinstance(error, Interrupted):
        return f"{error}; its checkpoint is kept: run kd-submit again to go on"
    text = " ".join(str(error).splitlines())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}".removesuffix(": ")


def _log(text: str) -> None:
    print(f"kd: {text}")
