"""``kd-cancel RUN [STAGE ...]``: cancel what waits or runs, with all that needs it, and print what was cancelled."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from kd.errors import printable, run_command
from kd.rundir.folders import JobKey, RunFolder, find_run, results_folder
from kd.rundir.job_state import AGAIN, BY_KD_CANCEL
from kd.rundir.journal import Journal, Submission
from slurm.state.borrowers import borrowers
from slurm.state.job_status import JobStatus, snapshot
from slurm.state.planned_jobs import Planned, read_jobs, select, with_descendants
from slurm.submission.executors import EXECUTORS


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-cancel``. Returns 0, also when nothing was left to cancel, or 2 on a mistake."""
    return run_command(lambda: _cancel(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kd-cancel",
        description="Cancel the jobs of a run that wait or run, and all that need them. Checkpoints and results stay.",
        allow_abbrev=False,
    )
    parser.add_argument("run", metavar="RUN", help="a run folder, or the name of a run in the results folder")
    parser.add_argument("stages", metavar="STAGE[/seed-N]", nargs="*", help="these and what needs them; default: all")
    parser.add_argument("--results", metavar="DIR", type=Path, help="default: $KD_RESULTS, else ./results")
    return parser


def _cancel(options: argparse.Namespace) -> int:
    run = find_run(options.run, options.results or results_folder())
    jobs = read_jobs(run)
    chosen = with_descendants(jobs, select(jobs, options.stages)) if options.stages else {job.key for job in jobs}
    for line in cancel(run, jobs, chosen):
        print(printable(line))
    return 0


def cancel(run: RunFolder, jobs: Sequence[Planned], chosen: Collection[JobKey]) -> list[str]:
    """Cancel the chosen jobs that are alive; return what was done, a line each.

    Raises ClusterError when Slurm does not answer or refuses.
    """
    journal = Journal(run.journal)
    everything = len(chosen) == len(jobs)
    lines = _stop_scheduler(journal) if everything else []
    lines += _cancel_orphans(run) if everything else []
    states = snapshot(run, EXECUTORS)
    submissions = journal.submissions()
    others = [state for state in states if state.lender is not None or state.same_as is not None]
    own = [state for state in states if state.alive and state not in others and state.key in submissions]
    alive = {state.key: submissions[state.key] for state in own}
    refused = {key: "its process is no stage of this run" for key in _strangers(run, alive) if key in chosen}
    alive = {key: found for key, found in alive.items() if key not in refused}
    for name, executor in EXECUTORS.items():
        here = {key: found for key, found in alive.items() if found.executor == name}
        refused |= executor.cancel({key: found for key, found in here.items() if key in chosen}, here)
    cancelled = [found for key, found in alive.items() if key in chosen and key not in refused]
    if cancelled:
        journal.withdrawn([found.job_id for found in cancelled], BY_KD_CANCEL)
    phases = {state.key: state.phase for state in states}
    lines += [f"cancelled {found.key} ({phases[found.key]}, {_name(found)})" for found in cancelled]
    lines += [f"not cancelled: {key}: {why}" for key, why in refused.items()]
    lines += _borrowed(run, [found.key for found in cancelled])
    lines += [] if everything else _yet_to_start(states, chosen)
    lines += _of_other_runs(states, chosen)
    lines += _same_jobs(run, states, chosen)
    return [*lines, f"{run.name}: {len(cancelled)} cancelled; {AGAIN}"] if lines else [f"{run.name}: nothing to cancel"]


def _stop_scheduler(journal: Journal) -> list[str]:
    """Stop the kd-submit that starts local jobs, so that it starts no more."""
    scheduler = journal.scheduler()
    if scheduler is None or not scheduler.has_open(journal.path) or not scheduler.terminate():
        return []
    return [f"stopped the kd-submit that ran it (process {scheduler.pid})"]


def _strangers(run: RunFolder, alive: Mapping[JobKey, Submission]) -> list[JobKey]:
    """Return the jobs whose process on this machine is not proved to be a stage of this run: nobody signals it."""
    return [
        key
        for key, found in alive.items()
        if found.process is not None and found.process.here
        if not found.process.is_stage_in(run.submitted_alone(key))
    ]


def _cancel_orphans(run: RunFolder) -> list[str]:
    """Cancel held jobs of a submission that was killed before it could write their ids down."""
    from slurm.submission.transaction import cancel_orphans

    return [f"cancelled job {job_id}, left behind by an interrupted kd-submit" for job_id in cancel_orphans(run)]


def _yet_to_start(states: Iterable[JobStatus], chosen: Collection[JobKey]) -> list[str]:
    """Name local jobs that a kd-submit at work would still start: it can only be stopped as a whole."""
    return [
        f"not cancelled: {state.key} has not started; to stop the kd-submit that will start it, cancel the whole run"
        for state in states
        if state.key in chosen and state.phase == "queued" and not state.alive
    ]


def _of_other_runs(states: Iterable[JobStatus], chosen: Collection[JobKey]) -> list[str]:
    """Name the jobs that another run does for this one: they are that run's to cancel."""
    return [
        f"not cancelled: {state.key} ({state.phase}) is job {state.job_id} of run {state.lender}; kd-cancel it there"
        for state in states
        if state.key in chosen and state.alive and state.lender is not None
    ]


def _same_jobs(run: RunFolder, states: Iterable[JobStatus], chosen: Collection[JobKey]) -> Iterable[str]:
    """Name the jobs that another stage of this run does too: that one is cancelled, or goes on."""
    for state in states:
        if state.key in chosen and state.alive and state.same_as is not None and state.lender is None:
            if state.same_as in chosen:
                yield f"with it {state.key}, which is the same job as {state.same_as}"
            else:
                both = f"kd-cancel {run.name} {state.same_as} ends both"
                yield f"not cancelled: {state.key} is {state.same_as} too; {both}"


def _borrowed(run: RunFolder, keys: Collection[JobKey]) -> list[str]:
    """Name the runs that waited for what was cancelled: their jobs can never run now."""
    return [
        f"run {name} waited for {', '.join(map(str, taken))}: what needs that will not run there; "
        f"kd-submit of {name} trains it itself"
        for name, taken in borrowers(run, keys).items()
    ]


def _name(submission: Submission) -> str:
    return f"{EXECUTORS[submission.executor].job_word} {submission.job_id}"
