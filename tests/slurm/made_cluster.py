"""Clusters for the tests of partition choice: nodes and partitions as Slurm prints them, and programs that do so."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import structs

from kd.rundir.stage_spec import Needs
from slurm.cluster.partitions_and_nodes import LiveState, parse_partitions
from slurm.cluster.profile import Profile
from tests.slurm.made_runs import SAID

NEEDS = Needs(gpus=1, cpus=4, memory_mb=8000, minutes=600)
TWO_TYPES = {"gpu_speed": {"a100": 2.5, "v100": 1.0}}


def needs(**changes: Any) -> Needs:
    """One GPU, 4 CPUs, 8000 MiB, 10 hours, changed."""
    return structs.replace(NEEDS, **changes)


def profile(*partitions: str | Mapping[str, Any], **keys: Any) -> Profile:
    """A profile with these partitions: names, or mappings as in YAML."""
    listed = [{"name": part} if isinstance(part, str) else part for part in partitions]
    return Profile.model_validate({"partitions": listed, **keys})


def node(
    name: str,
    partition: str,
    gres: str = "gpu:a100:4",
    used: str = "gpu:a100:0(IDX:N/A)",
    *,
    state: str = "idle",
    cpus: str = "0/16/0/16",
    memory: tuple[int, int] = (64000, 0),
    features: str = "(null)",
) -> str:
    """A line of sinfo: ``cpus`` are allocated/idle/other/total, ``memory`` is all of it and what is allocated."""
    return f"{name}|{partition}|{state}|{cpus}|{memory[0]}|{memory[1]}|{features}|{gres}|{used}|\n"


def partition(name: str, **fields: str) -> str:
    """A line of scontrol."""
    usual = {"AllowGroups": "ALL", "AllowAccounts": "ALL", "AllowQos": "ALL", "Default": "NO", "MaxTime": "2-00:00:00"}
    more = {"PriorityTier": "1", "PreemptMode": "OFF", "RootOnly": "NO", "State": "UP"}
    words = " ".join(f"{key}={value}" for key, value in {**usual, **more, **fields}.items())
    return f"PartitionName={name} {words}\n"


def live(partitions: str, nodes: str, **known: Any) -> LiveState:
    """The state that these lines describe."""
    return LiveState(partitions=parse_partitions(partitions, nodes), **known)


def busy_testbed() -> LiveState:
    """The testbed with jobs on 3 of 8 a100 and on all 4 v100, and cpu1 drained, as Slurm 22.05.8 described it."""
    return live((SAID / "scontrol_partitions.txt").read_text(), (SAID / "sinfo_nodes.txt").read_text())


def answers(folder: Path, program: str, by_word: Mapping[str, str | Path], *, silent: str = "") -> None:
    """Write a program that prints the text or file of the first word found among its arguments, and notes its call.

    Without any of the words, or with the word ``silent``, it fails.
    """
    lines = ["#!/bin/sh", f'echo {program} "$@" >> "$(dirname "$0")/calls"', 'case " $* " in']
    if silent:
        lines.append(f'*" {silent} "*) echo "{program}: no answer" >&2; exit 1;;')
    for index, (word, text) in enumerate(by_word.items()):
        file = text if isinstance(text, Path) else folder / f"{program}.{index}"
        if not isinstance(text, Path):
            file.write_text(text)
        lines.append(f'*" {word} "*) cat {shlex.quote(str(file))};;')
    lines += [f'*) echo "{program}: what?" >&2; exit 1;;', "esac", ""]
    (folder / program).write_text("\n".join(lines))
    (folder / program).chmod(0o755)


def imitate_testbed(folder: Path) -> None:
    """Write scontrol, sinfo, sacctmgr and sshare that print what the testbed's printed."""
    answers(folder, "scontrol", {"config": SAID / "scontrol_config.txt", "partition": SAID / "scontrol_partitions.txt"})
    answers(folder, "sinfo", {"--Node": SAID / "sinfo_nodes.txt"})
    answers(folder, "sacctmgr", {"user": SAID / "sacctmgr_user.txt", "qos": SAID / "sacctmgr_qos.txt"})
    answers(folder, "sshare", {"--noheader": SAID / "sshare.txt"})
