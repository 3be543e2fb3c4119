"""``kd-submit``: from a job file to running jobs. Plans, reports what is done, and hands over to an executor."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kd.errors import SpecError, drop_output, printable, run_command, shown
from kd.files import deny_others_to_write, staying
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
from kd.jobfile.quantities import parse_seeds
from kd.rundir.folders import RunFolder, results_folder
from kd.rundir.ownership import require_own
from slurm.cluster.profile import cluster_of, load_profile
from slurm.cluster.sbatch_options import unused_variables
from slurm.cluster.which_cluster import on_cluster
from slurm.commands.answers import PrintShippedJobs, PrintVersion
from slurm.submission.chosen_jobs import chosen_jobs, refuse_alive, set_aside
from slurm.submission.executors import CLUSTER, EXECUTORS, HERE
from slurm.submission.installed_torch import without_cuda
from slurm.submission.lenders import trusted
from slurm.submission.memory_limits import images_beyond_memory
from slurm.submission.missing_inputs import missing_caches, missing_inputs
from slurm.submission.order import Order
from slurm.submission.placed_requests import ClusterNow, cluster_now_if_here, placed_requests
from slurm.submission.plan_difference import refuse_other_plan
from slurm.submission.request import in_slots
from slurm.submission.run_folder import Launch, open_run, write_run
from slurm.submission.slurm_executor import require_venv

if TYPE_CHECKING:
    from slurm.submission.resume import StartingPoint


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-submit``. Returns 0, 1 when a stage failed, 2 on the user's mistake."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(lambda: _submit(_parser().parse_args(arguments), arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kd-submit", description="Plan a job file and submit what is not done yet.", allow_abbrev=False
    )
    parser.add_argument("spec", metavar="SPEC", help="job file, or the name of a shipped one (quickstart)")
    parser.add_argument("--list", action=PrintShippedJobs, help="print the shipped job files and stop")
    parser.add_argument("--version", action=PrintVersion, help="print the version of kd and stop")
    parser.add_argument("--executor", choices=tuple(EXECUTORS), help="default: slurm where sbatch exists")
    parser.add_argument("--cluster", metavar="NAME|FILE", help="cluster profile; default: found by this host's name")
    parser.add_argument("--run", metavar="NAME", help="name of the run; default: the job file's")
    parser.add_argument("--results", metavar="DIR", default=str(results_folder()))
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override stages.x.epochs=10")
    parser.add_argument("--seeds", metavar="1,2,5-8", type=_seed_list, default=[], help="instead of the file's seeds")
    parser.add_argument("--drop-seeds", metavar="3,4", type=_seed_list, default=[], help="take seeds out of the run")
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
    parser.add_argument("--again", action="store_true", help="redo what is finished; --only: and its dependents")
    parser.add_argument(
        "--reuse-from", metavar="USER|GROUP", action="append", default=[], help="take over their finished jobs too"
    )
    parser.add_argument("--follow", action="store_true", help="watch the run until it ends")
    return parser


def _seed_list(text: str) -> list[int]:
    try:
        return parse_seeds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _submit(options: argparse.Namespace, arguments: list[str]) -> int:
    if options.json and not options.dry_run:
        raise SpecError(["--json: only with --dry-run; kd-status RUN --json has the states of a run"])
    order = _order(options)
    require_own(order.run)
    with on_cluster(cluster_of(order.profile) if order.executor.is_cluster else ""):
        return _show(order, options) if options.dry_run or options.check else _send(order, options, arguments)


def _send(order: Order, options: argparse.Namespace, arguments: list[str]) -> int:
    deny_others_to_write()
    if faults := _impossible(order):
        raise SpecError(faults)
    from slurm.submission.dropped_seeds import drop_seeds
    from slurm.submission.resume import find_starting_point, locked
    from slurm.submission.reuse import link_taken

    with locked(order.run), _store(order):
        _refuse_what_cannot_be(order, again=options.again)
        if options.again:
            set_aside(order)
        if options.drop_seeds:
            print("\n".join(drop_seeds(order, options.drop_seeds)))
        start = find_starting_point(order)
        link_taken(order.run, start.pending, start.borrowed)
        launch = Launch(executor=order.executor, cluster=order.cluster, profile=order.profile)
        write_run(order.run, order.pipeline, order.plan, launch, ["kd-submit", *arguments])
        output = Output()
        for line in (*_warnings(order, start), *start.lines()):
            output.line(line)
        with staying(order.run.path):
            code = order.executor.send(order, start, output.line if order.executor.is_cluster else output.timed_line)
    if order.executor.is_cluster:
        output.line(str(order.run.path))
        output.end(order.run, len(start.pending))
        return _follow(order) if options.follow else code
    _print_results(order.run)
    return code


def _show(order: Order, options: argparse.Namespace) -> int:
    """Show what a submission would do now, by the very steps that it takes, changing nothing.

    The exit code is the submission's where the jobs would run on this machine or its cluster. Elsewhere, and below a
    variable that is not set, their inputs cannot be looked for: what is missing is printed alone.
    """
    from slurm.commands.dry_run import check_scripts, print_scripts
    from slurm.submission.dropped_seeds import preview_drop
    from slurm.submission.resume import preview_starting_point

    _refuse_what_cannot_be(order, again=options.again)
    start = preview_starting_point(order)
    dropped = preview_drop(order, options.drop_seeds)
    now = _cluster_now(order, start) if order.executor.is_cluster else None
    requests = placed_requests(order, now, start) if order.executor.is_cluster else []
    faults = _impossible(order)
    for line in (*faults, *dropped, *_warnings(order, start), *start.lines()):
        print(line, file=sys.stderr)
    if not order.executor.is_cluster:
        print("\n".join(f"{key}: would run on this machine" for key in start.pending), file=sys.stderr)
    code = check_scripts(requests) if options.check else 0
    if options.dry_run:
        print_scripts(order.plan, order.run, order.cluster, requests, as_json=options.json)
    here = now is not None or not order.executor.is_cluster
    return 2 if here and any("${" not in line for line in faults) else code


def _cluster_now(order: Order, start: StartingPoint) -> ClusterNow | None:
    """Return the cluster of this machine, if jobs wait for one. Raises ClusterError for what it makes impossible."""
    now = cluster_now_if_here(order, start.pending) if start.pending else None
    if now is not None:
        require_venv(order.profile.venv)
    return now


def _refuse_what_cannot_be(order: Order, *, again: bool) -> None:
    """Raise RunError for a run of another plan, or with ``--again`` for one whose jobs still wait or run."""
    if again:
        refuse_alive(order)
    else:
        refuse_other_plan(order.run, order.plan)


def _impossible(order: Order) -> list[str]:
    """Return why chosen jobs cannot run: what they read is not there, or cannot fit in the memory they ask for.

    This machine gives a process what it has, whatever its stage asks for: the job itself looks at that.
    """
    limited = order.executor.is_cluster
    beyond = images_beyond_memory(order.plan, order.chosen) if limited else []
    return [*missing_inputs(order.plan, order.chosen), *beyond]


def _warnings(order: Order, start: StartingPoint) -> list[str]:
    """Return what will go wrong in the jobs, as far as that can be known here."""
    on_gpus = any(job.needs.gpus for job in order.plan.jobs if job.key in start.pending)
    line = without_cuda(order.profile) if order.executor.is_cluster and on_gpus else None
    unused = unused_variables(os.environ) if order.executor.is_cluster and start.pending else []
    return [*([line] if line else []), *unused, *missing_caches(order.plan, start.pending, order.profile)]


def _order(options: argparse.Namespace) -> Order:
    unset: set[str] | None = set() if options.dry_run or options.check else None
    pipeline = load_pipeline(
        options.spec, overrides=options.set, seeds=options.seeds, epochs=options.epochs, tiny=options.tiny, unset=unset
    )
    for name in sorted(unset or ()):
        print(f"{name} is not set: paths with ${{{name}}} stand as written; export it to submit", file=sys.stderr)
    plan = plan_pipeline(pipeline, Path(options.results))
    executor = EXECUTORS[options.executor or (CLUSTER if _wants_slurm(options) else HERE)]
    cluster, profile = load_profile(options.cluster if executor.is_cluster else "local")
    if options.mail:
        if not options.mail.isprintable():
            raise SpecError([f"--mail {shown(options.mail)}: an address is one line of printable characters"])
        profile = profile.model_copy(update={"mail": options.mail})
    if executor.is_cluster:
        plan = in_slots(plan, profile)
    chosen, redone = chosen_jobs(plan, options.only, again=options.again)
    name = options.run or Path(options.spec).stem + ("-tiny" if options.tiny else "")
    return Order(
        pipeline=pipeline,
        plan=plan,
        run=open_run(Path(options.results), name),
        executor=executor,
        cluster=cluster,
        profile=profile,
        chosen=chosen,
        redone=redone,
        workers=options.jobs,
        reuse_from=trusted(options.reuse_from),
    )


def _wants_slurm(options: argparse.Namespace) -> bool:
    return bool(options.cluster or options.dry_run or options.check or shutil.which("sbatch"))


def _store(order: Order) -> AbstractContextManager[None]:
    """Return the lock under which jobs are compared with other runs; a local run would hold it for its whole length."""
    from slurm.submission.reuse import store_locked

    return store_locked(order.run.path.parent) if order.executor.is_cluster else nullcontext()


class Output:
    """What kd-submit prints. Its reader may leave early (``| head -3``): the jobs are sent all the same."""

    def __init__(self) -> None:
        self.cut = False

    def line(self, text: str) -> None:
        """Print a line now."""
        try:
            print(printable(text), flush=True)
        except BrokenPipeError:
            self.cut = True
            drop_output()

    def timed_line(self, text: str) -> None:
        """Print a line with the time of day."""
        self.line(f"{time.strftime('%H:%M:%S')} {text}")

    def end(self, run: RunFolder, sent: int) -> None:
        """Tell on standard error what a reader that left did not see."""
        if self.cut:
            print(
                f"the output was cut short, nothing else: {sent} jobs submitted; kd-status {run.path}", file=sys.stderr
            )


def _print_results(run: RunFolder) -> None:
    """Print what a run that has ended here found, and its folder."""
    from kd.report.table import print_summary

    if run.report_json.is_file():
        print_summary(run)
    print(run.path)


def _follow(order: Order) -> int:
    from slurm.commands.status import main as status

    return status([str(order.run.path), "--watch"])
