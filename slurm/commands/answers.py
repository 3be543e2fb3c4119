"""What ``kd-submit`` answers without planning anything: ``--version`` and ``--list``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import yaml

from kd.places import shipped

DISTRIBUTION = "kd-slurm"  # the name in setup.cfg


class PrintVersion(argparse.Action):
    """Prints the version and ends the command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *parsed: object) -> None:
        from importlib.metadata import version  # late: no other command line needs it

        print(f"kd {version(DISTRIBUTION)}")
        parser.exit()


class PrintShippedJobs(argparse.Action):
    """Prints the names of the shipped job files, each with its ``about``, and ends the command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *parsed: object) -> None:
        jobs = shipped_jobs()
        width = max(map(len, jobs), default=0)
        for name, about in jobs.items():
            print(f"{name:{width}}  {about}")
        parser.exit()


def shipped_jobs() -> Mapping[str, str]:
    """Return name -> ``about`` of every shipped job file, sorted by name."""
    files = sorted(shipped("jobs").glob("*.yaml"))
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))["about"] for file in files}
