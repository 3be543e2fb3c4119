"""``kd-submit``: from a job file to running jobs. Plans, says what it found done, and hands over to an executor."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kd.errors import ClusterError, RunError, SpecError, did_you_mean, run_command
from kd.files import deny_others_to_write, write_json
from kd.jobfile.graph import data_of
from kd.jobfile.load import load_job
from kd.jobfile.plan import Plan, plan_job
from kd.jobfile.quantities import parse_seeds
from kd.jobfile.shorthand import matching
from kd.rundir.folders import JobKey, RunFolder, results_folder
from slurm.cluster.profile import Profile, load_profile
from slurm.submission.fault_points import fault_point
from slurm.submission.placed_requests import place, see, see_if_there
from slurm.submission.plan_difference import changed_jobs, refuse_other_plan
from slurm.submission.request import Request, in_slots
from slurm.submission.run_folder import Launch, open_run, write_run

if TYPE_CHECKING:
    from kd.jobfile.schema import Job
    from slurm.submission.resume import Standing


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-submit``. Returns 0, 1 when a stage failed, 2 on the user's mistake."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(lambda: _submit(_parser().parse_args(arguments), arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kd-submit", description="Plan a job file and submit what is not done yet.", allow_abbrev=False
    )
    parser.add_argument("spec", metavar="SPEC", help="job file, or the name of a shipped one (quickstart)")
    parser.add_argument("--executor", choices=("slurm", "local", "debug"), help="default: slurm where sbatch exists")
    parser.add_argument("--cluster", metavar="NAME|FILE", help="cluster profile; default: found by this host's name")
    parser.add_argument("--run", metavar="NAME", help="name of the run; default: the job file's")
    parser.add_argument("--results", metavar="DIR", default=str(results_folder()))
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override stages.x.epochs=10")
    parser.add_argument("--seeds", metavar="1,2,5-8", type=_seed_list, default=[], help="instead of the file's seeds")
    parser.add_argument("--epochs", metavar="N", type=int, help="of every training; schedules shrink along")
    parser.add_argument(
        "--only", metavar="STAGE", action="append", default=[], help="STAGE or pattern, and what it needs"
    )
    parser.add_argument("--tiny", action="store_true", help="the same graph with seconds-sized work")
    parser.add_argument("--mail", metavar="ADDRESS", help="Slurm mails when a job fails, and when the report is there")
    parser.add_argument("--jobs", metavar="N", type=int, default=0, help="local: processes at a time")
    parser.add_argument("--dry-run", action="store_true", help="print every sbatch script and stop")
    parser.add_argument("--json", action="store_true", help="with --dry-run: the plan and scripts as JSON")
    parser.add_argument("--check", action="store_true", help="ask Slurm whether it would accept each script")
    parser.add_argument("--resume", action="store_true", help="continue the run (the default when it exists)")
    parser.add_argument("--again", action="store_true", help="set finished stages aside and train them again")
    parser.add_argument("--follow", action="store_true", help="watch the run until it ends")
    return parser


def _seed_list(text: str) -> list[int]:
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """Everything a submission needs, checked."""

    job: Job
    plan: Plan
    run: RunFolder
    executor: str
    cluster: str
    profile: Profile
    chosen: frozenset[JobKey]


def _submit(options: argparse.Namespace, arguments: list[str]) -> int:
    order = _order(options)
    if options.dry_run or options.check:
        return _show(order, options)
    deny_others_to_write()
    _require_data(order.job)
    from slurm.submission.resume import locked, stand

    with locked(order.run), _store(order):
        if options.again:
            _set_aside(order)
        else:
            refuse_other_plan(order.run, order.plan)
        standing = stand(
            order.run,
            order.plan,
            order.profile,
            order.chosen,
            lend_live=order.executor == "slurm",
            reuse=not options.again,
        )
        _link(order.run, standing)
        launch = Launch(executor=order.executor, cluster=order.cluster, profile=order.profile)
        write_run(order.run, order.job, order.plan, launch, ["kd-submit", *arguments])
        for line in standing.lines():
            print(line)
        if order.executor != "slurm":
            return _run_here(order, standing, options.jobs)
        _send(order, standing)
    print(order.run.path)
    return _follow(order) if options.follow else 0


def _show(order: _Order, options: argparse.Namespace) -> int:
    from slurm.commands.dry_run import check_scripts, print_scripts

    here = order.executor == "slurm"
    seen = see_if_there(order.plan, order.run, order.cluster, order.profile, order.chosen) if here else None
    requests = place(order.plan, order.run, order.profile, seen, pending=order.chosen)
    code = check_scripts(requests) if options.check else 0
    if options.dry_run:
        print_scripts(order.plan, order.run, order.cluster, requests, as_json=options.json)
    return code


def _order(options: argparse.Namespace) -> _Order:
    job = load_job(options.spec, overrides=options.set, seeds=options.seeds, epochs=options.epochs, tiny=options.tiny)
    plan = plan_job(job)
    executor = options.executor or ("slurm" if _wants_slurm(options) else "local")
    cluster, profile = load_profile(options.cluster if executor == "slurm" else "local")
    if options.mail:
        profile = profile.model_copy(update={"mail": options.mail})
    if executor == "slurm":
        plan = in_slots(plan, profile)
    name = options.run or Path(options.spec).stem + ("-tiny" if options.tiny else "")
    return _Order(
        job=job,
        plan=plan,
        run=open_run(Path(options.results), name),
        executor=executor,
        cluster=cluster,
        profile=profile,
        chosen=_chosen(plan, options.only),
    )


def _wants_slurm(options: argparse.Namespace) -> bool:
    return bool(options.cluster or options.dry_run or options.check or shutil.which("sbatch"))


def _chosen(plan: Plan, only: Iterable[str]) -> frozenset[JobKey]:
    """Return the jobs of the named stages and all they need; without names, every job."""
    stages = list(plan.by_stage())
    named: set[str] = set()
    for name in only:
        if not (found_stages := matching(stages, name)):
            raise SpecError([f"--only {name}: no such stage{did_you_mean(name, stages)}"])
        named.update(found_stages)
    if not only:
        return frozenset(job.key for job in plan.jobs)
    by_key = {job.key: job for job in plan.jobs}
    todo = [job.key for job in plan.jobs if job.key.stage in named]
    found: set[JobKey] = set()
    while todo:
        key = todo.pop()
        found.add(key)
        todo += [parent for parent in by_key[key].parents.values() if parent not in found]
    return frozenset(found)


def _require_data(job: Job) -> None:
    given = [job.data, *(data_of(job, name) for name in job.stages)]
    for root in sorted({data.root for data in given if data.root}):
        if not Path(root).exists():
            raise SpecError([f"data.root: {root} does not exist (docs/data.md says what to put there)"])


def _set_aside(order: _Order) -> None:
    """Move the chosen stages of an earlier run, and those planned otherwise, out of the way; nothing is deleted."""
    from slurm.state.job_status import snapshot

    doomed = {*order.chosen, *changed_jobs(order.run, order.plan)}
    states = snapshot(order.run, order.profile) if order.run.journal.is_file() else []
    if alive := [str(state.key) for state in states if state.alive and state.key in doomed]:
        raise RunError(f"--again: {', '.join(alive)} still wait or run; kd-cancel {order.run.name} first")
    aside = order.run.path / "replaced" / time.strftime("%Y%m%d-%H%M%S")
    for key in sorted(doomed, key=str):
        folder = order.run.stage(key).path
        if folder.is_dir():
            target = aside / key.stage / folder.name
            target.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(target)


def _store(order: _Order) -> AbstractContextManager[None]:
    """Return the lock under which jobs are compared with other runs; a local run would hold it for its whole length."""
    from slurm.submission.reuse import store_locked

    return store_locked(order.run.path.parent) if order.executor == "slurm" else nullcontext()


def _link(run: RunFolder, standing: Standing) -> None:
    """Let the jobs taken from other runs appear in this one, and no others."""
    from slurm.submission.reuse import link, unlink_stale

    for key in standing.pending:
        unlink_stale(run, key)
    for found in standing.borrowed:
        link(run, found)


def _send(order: _Order, standing: Standing) -> None:
    from slurm.submission.transaction import submit

    if not shutil.which("sbatch"):
        raise ClusterError("no sbatch here: log in to the cluster, or use --executor local or --dry-run")
    requests = _chosen_places(order, standing)
    fault_point("before-sending")
    for key, job_id in submit(requests, order.run, standing.live).items():
        print(f"submitted {key} as {job_id}")


def _chosen_places(order: _Order, standing: Standing) -> list[Request]:
    """Return the requests, each where it is expected to finish first, and say why there."""
    from slurm.placement.explain_choice import line

    if not standing.pending:
        return []
    seen = see(order.plan, order.run, order.cluster, order.profile, set(standing.pending))
    write_json(order.run.path / "capabilities.json", asdict(seen[0]))
    requests = place(
        order.plan,
        order.run,
        order.profile,
        seen,
        pending=standing.pending,
        finished=standing.finished,
        attempt=standing.attempt,
    )
    for stage, choice in {request.stage: request.choice for request in requests}.items():
        print(f"{stage}: {line(choice)}")
    return requests


def _run_here(order: _Order, standing: Standing, jobs: int) -> int:
    from kd.report.table import print_summary
    from slurm.submission.local_scheduler import run_in_process, run_local

    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    if standing.live:
        alive = ", ".join(map(str, standing.live))
        raise RunError(f"{order.run.path}: still running: {alive}; wait for them, or kd-cancel them")
    if order.executor == "debug":
        outcome = run_in_process(order.plan, order.run, standing.pending, standing.finished, say)
    else:
        workers = jobs or max(1, len(os.sched_getaffinity(0)))
        outcome = run_local(order.plan, order.run, standing.pending, standing.finished, workers, say)
    if outcome.interrupted:
        print("interrupted; the same command continues the run", file=sys.stderr)
    if order.run.report_json.is_file():
        print_summary(order.run)
    print(order.run.path)
    return outcome.exit_code


def _follow(order: _Order) -> int:
    from slurm.commands.status import main as status

    return status([str(order.run.path), "--watch"])
