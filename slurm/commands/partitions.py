"""``kd-partitions``: where a job would run best now, with the reason of every partition; or a draft of a profile."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from kd.errors import ClusterError, SpecError, did_you_mean, run_command
from kd.jobfile.quantities import parse_megabytes, parse_minutes
from kd.jobfile.resolve import TRAINING_NEEDS
from kd.rundir.folders import results_folder
from slurm.cluster.profile import Profile, cluster_of, load_profile
from slurm.cluster.which_cluster import on_cluster
from slurm.placement.choice import Choice
from slurm.placement.choose_for_all_stages import Asking, choose_partitions
from slurm.placement.explain_choice import needs_in_words, table, to_json

_OVERRIDES = ("gpus", "cpus", "memory_mb", "minutes", "gpu_type")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-partitions``. Returns 0, or 2 on the user's mistake and where no partition fits."""
    return run_command(lambda: _partitions(_parser().parse_args(argv)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kd-partitions",
        description="Rank the GPU partitions for a job: hard limits first, then who is expected to finish first.",
        epilog="Without SPEC the request is one GPU, 4 CPUs, 16G and a day, changed by the options.",
        allow_abbrev=False,
    )
    parser.add_argument("spec", metavar="SPEC", nargs="?", help="job file: rank for each of its stages")
    parser.add_argument("stage", metavar="STAGE", nargs="?", help="only this stage of it")
    parser.add_argument("--gpus", metavar="N", type=_count, help="GPUs of one node")
    parser.add_argument("--gpu-type", metavar="TYPE", help="only this type")
    parser.add_argument("--cpus", metavar="N", type=_count)
    parser.add_argument("--memory", metavar="32G", dest="memory_mb", type=_argument(parse_megabytes))
    parser.add_argument("--time", metavar="24h", dest="minutes", type=_argument(parse_minutes), help="time limit")
    parser.add_argument(
        "--jobs", metavar="N", type=_count, help="how many such jobs (default: the stage's seeds, or 1)"
    )
    parser.add_argument("--cluster", metavar="NAME|FILE", help="cluster profile; default: found by this host's name")
    parser.add_argument(
        "--results", metavar="DIR", type=Path, default=results_folder(), help="runs to learn speeds from"
    )
    parser.add_argument("--json", action="store_true", help="print the ranking as JSON")
    parser.add_argument("--refresh", action="store_true", help="ask anew what is kept for a day (accounts, limits)")
    parser.add_argument("--draft-profile", action="store_true", help="print a cluster profile drafted from Slurm")
    return parser


def _argument(parse: Any) -> Any:
    """Return an argparse type whose refusals keep their own words."""

    def convert(text: str) -> Any:
        try:
            return parse(int(text) if text.isdigit() and parse is parse_minutes else text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def _partitions(options: argparse.Namespace) -> int:
    cluster, profile = load_profile(None if options.draft_profile else options.cluster)
    with on_cluster(cluster_of(profile)):
        return _rank_or_draft(options, cluster, profile)


def _rank_or_draft(options: argparse.Namespace, cluster: str, profile: Profile) -> int:
    here = shutil.which("scontrol") is not None
    if options.draft_profile:
        if not here:
            raise ClusterError("no Slurm here: run kd-partitions --draft-profile on the cluster's login node")
        print(_draft(options.refresh), end="")
        return 0
    requests = _requests(options, profile)
    live = None
    if here:
        from slurm.placement.ask_slurm import cluster_now

        wanted = [asking.needs for asking in requests]
        _, live = cluster_now(cluster, profile, wanted, options.results, refresh=options.refresh)
    choices = choose_partitions(profile, live, requests)
    _print(choices, cluster, as_json=options.json)
    for choice in choices.values():
        choice.require()
    return 0


def _draft(refresh: bool) -> str:
    from slurm.cluster.capabilities import capabilities
    from slurm.commands.draft_profile import draft
    from slurm.placement.ask_slurm import live_state

    return draft(live_state(Profile(), ()).partitions, capabilities(refresh=refresh), socket.getfqdn())


def _requests(options: argparse.Namespace, profile: Profile) -> list[Asking]:
    """Return what to rank for: the stages of a job file, or the one request of the options."""
    given = {key: value for key in _OVERRIDES if (value := getattr(options, key)) is not None}
    if options.spec is None:
        return [Asking(stage="request", needs=structs.replace(TRAINING_NEEDS, **given), jobs=options.jobs or 1)]
    from kd.jobfile.load import load_pipeline
    from kd.jobfile.plan import plan_pipeline
    from slurm.submission.request import in_slots

    plan = in_slots(plan_pipeline(load_pipeline(options.spec)), profile)
    stages = plan.by_stage()
    if options.stage is not None and options.stage not in stages:
        raise SpecError([f"{options.stage}: no such stage{did_you_mean(options.stage, list(stages))}"])
    return [
        Asking(
            stage=name,
            needs=structs.replace(jobs[0].needs, **given),
            jobs=options.jobs or len(jobs),
            spec=jobs[0].spec,
            waits=bool(plan.parents_of(jobs[0])),
        )
        for name, jobs in stages.items()
        if options.stage == name or (options.stage is None and jobs[0].needs.gpus)
    ]


def _print(choices: Mapping[str, Choice], cluster: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"cluster": cluster, "stages": {name: to_json(found) for name, found in choices.items()}}))
        return
    for name, choice in choices.items():
        seen = "" if choice.live else "; no Slurm here: by the profile alone"
        print(f"{name}: {needs_in_words(choice.needs, choice.jobs)} on cluster {cluster}{seen}")
        print(table(choice) if choice.candidates else "the site's default partition (the profile lists none)")
        print()
