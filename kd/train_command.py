"""``kd-train SPEC STAGE``: run one stage here, in this process, into the same run folder that kd-submit would use.

For a notebook's neighbour, a debugger, or a machine without submitit. Continues from a checkpoint like any job.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kd.errors import RunError, SpecError, did_you_mean, run_command
from kd.files import write_json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import Plan, PlannedJob, plan_pipeline
from kd.rundir.attempt_record import read_attempt
from kd.rundir.borrowed_file import changed_since_pinned
from kd.rundir.claim import Claim, Claimant, claim_stage
from kd.rundir.folders import JobKey, RunFolder, StageFolder, results_folder
from kd.rundir.ownership import linked_entry, require_own
from kd.rundir.plan_file import write_plan
from kd.rundir.stage_result import damaged_artefacts, read_result
from kd.user_code.frozen import freeze
from kd.user_code.sources import bound


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-train``. Returns 0, or 2 on the user's mistake; a bug keeps its traceback."""
    options = _parser().parse_args(argv)
    return run_command(lambda: _train(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kd-train", description="Run one stage in this process.", allow_abbrev=False)
    parser.add_argument("spec", metavar="SPEC", help="job file, or the name of a shipped one")
    parser.add_argument("stage", metavar="STAGE")
    parser.add_argument("--seed", type=int, help="only this seed; default: every seed of the stage, in turn")
    parser.add_argument("--run", metavar="NAME", help="name of the run; default: the job file's")
    parser.add_argument("--results", metavar="DIR", default=str(results_folder()))
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override stages.x.epochs=10")
    parser.add_argument("--epochs", metavar="N", type=int, help="of every training; schedules shrink along")
    parser.add_argument("--tiny", action="store_true", help="the same graph with seconds-sized work")
    return parser


def _train(options: argparse.Namespace) -> int:
    plan = plan_pipeline(load_pipeline(options.spec, overrides=options.set, epochs=options.epochs, tiny=options.tiny))
    jobs = _chosen(plan, options.stage, options.seed)
    name = options.run or Path(options.spec).stem + ("-tiny" if options.tiny else "")
    run = RunFolder(Path(options.results).absolute() / name)
    require_own(run)
    run.path.mkdir(parents=True, exist_ok=True)
    if not run.plan.is_file():
        write_plan(run, plan.to_file())
    write_json(run.counted, msgspec.to_builtins(plan.counted()))
    freeze(bound().values(), run.own_code)
    for job in jobs:
        _train_one(run, job)
    return 0


def _chosen(plan: Plan, stage: str, seed: int | None) -> list[PlannedJob]:
    stages = plan.by_stage()
    if stage not in stages:
        raise SpecError([f"no stage '{stage}'{did_you_mean(stage, list(stages))}"])
    jobs = [job for job in stages[stage] if seed is None or job.key.seed == seed]
    if not jobs:
        known = ", ".join(str(job.key.seed) for job in stages[stage])
        raise SpecError([f"stage '{stage}' has no seed {seed} (it has {known})"])
    return jobs


def _train_one(run: RunFolder, job: PlannedJob) -> None:
    """Train a stage, as the only process in its folder. Raises RunError, naming the other one, where there is one."""
    from kd.stages.context import Interrupted

    folder = run.stage(job.key)
    if _is_done(folder, job):
        return
    for parent in job.parents.values():
        _require_parent(job.key, parent, run.stage(parent))
    folder.path.mkdir(parents=True, exist_ok=True)
    if linked := folder.path if folder.path.is_symlink() else linked_entry(folder.path):
        raise RunError(f"{linked}: a link, which would be written through; remove it")
    before = read_attempt(folder)
    number = 1 + ((before.attempt or 0) if before else 0)
    with claim_stage(folder, Claimant(), number, job.fingerprint, _log, busy_seconds=0) as claim:
        if _is_done(folder, job):  # meanwhile, by another process
            return
        try:
            _run(run, job, claim)
        except Interrupted:
            claim.require()
            raise


def _require_parent(key: JobKey, parent: JobKey, folder: StageFolder) -> None:
    result = read_result(folder)
    if result is None:
        raise RunError(f"{key} needs {parent}, which is not done: kd-train it first")
    if fault := changed_since_pinned(folder):
        raise RunError(f"{key} needs {parent}: {fault}")
    if damaged := damaged_artefacts(folder, result):
        raise RunError(f"{key} needs {parent}, of which {', '.join(damaged)} changed since it finished: train it again")


def _is_done(folder: StageFolder, job: PlannedJob) -> bool:
    earlier = read_result(folder)
    done = earlier and earlier.fingerprint == job.fingerprint and not damaged_artefacts(folder, earlier)
    if done:
        print(f"{job.key}: done already")
    return bool(done)


def _run(run: RunFolder, job: PlannedJob, claim: Claim) -> None:
    from kd.run import run_stage
    from kd.stages.context import in_place

    write_json(claim.folder.spec, job.spec.to_json())
    parents = {name: run.stage(parent).path for name, parent in job.parents.items()}
    result = run_stage(in_place(claim.folder, parents=parents, stop_requested=claim.superseded))
    accuracy = result.test_accuracy
    print(f"{job.key}: done" + (f", test accuracy {accuracy:.4f}" if accuracy is not None else ""), flush=True)


def _log(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
