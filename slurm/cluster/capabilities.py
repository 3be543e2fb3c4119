"""What this Slurm can do and what it allows this user: a probe of at most three calls, two of them kept for a day.

The cache is a file of the user's own (~/.cache/kd), one per cluster. A run records the probe as provenance.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from kd.errors import ClusterError
from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json
from slurm.cluster.partitions_and_nodes import limit_minutes
from slurm.cluster.slurm_commands import call
from slurm.cluster.which_cluster import current_cluster

FORMAT = 1
KEPT_SECONDS = 24 * 3600.0
SECONDS = 20.0
CONFIG = ("scontrol", "show", "config")
_ASSOCIATION_FIELDS = (
    "DefaultAccount",
    "Cluster",
    "Account",
    "Partition",
    "QOS",
    "DefaultQOS",
    "MaxSubmitJobs",
    "GrpSubmitJobs",
    "MaxWall",
)
_QOS_FIELDS = ("Name", "MaxWall", "MaxSubmitJobsPerUser", "MaxSubmitJobsPerAccount", "GrpSubmitJobs")
_FROM_CONFIG = (  # what from_config finds: a change of it shows that the cluster is another, or was set up anew
    "cluster",
    "controller",
    "version",
    "accounting",
    "max_array_size",
    "max_job_count",
    "min_job_age_seconds",
    "requeue",
    "preempt_type",
    "preempt_mode",
    "preemption_signal",
    "kill_invalid_dependents",
    "enforce_part_limits",
)
_CONFIG_FILES = ("/etc/slurm/slurm.conf", "/run/slurm/conf/slurm.conf", "/etc/slurm-llnl/slurm.conf")


class Capabilities(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cluster as its controller and its accounting describe it. None: not known, or no limit.

    ``max_submit`` and ``max_minutes`` are the tightest of the user's association and QOS, with whose they are.
    ``unreadable`` names what would not answer.
    """

    format: int = FORMAT
    cluster: str = ""
    controller: str = ""
    version: str = ""
    accounting: bool = False
    max_array_size: int | None = None
    max_job_count: int | None = None
    min_job_age_seconds: int | None = None
    requeue: bool = True  # of jobs that do not ask either way; ours do
    preempt_type: str = ""
    preempt_mode: str = ""
    preemption_signal: bool = False  # whether a preempted job gets its --signal first
    kill_invalid_dependents: bool = False  # cluster-wide, without asking
    enforce_part_limits: str = ""
    account: str | None = None  # whose limits these are: the profile's or the user's default
    qos: str | None = None
    default_account: str | None = None
    default_qos: str | None = None
    accounts: tuple[str, ...] = ()
    max_submit: int | None = None
    max_submit_of: str = ""
    max_minutes: int | None = None
    max_minutes_of: str = ""
    unreadable: tuple[str, ...] = ()
    probed: float = 0.0


def capabilities(
    account: str | None = None, qos: str | None = None, *, refresh: bool = False, cache: Path | None = None
) -> Capabilities:
    """Return what the cluster can do for this account and QOS (None: the user's default).

    The controller is asked each time; accounting, which is slow, once a day and whenever the controller's answer has
    changed. Raises ClusterError when the controller does not answer and nothing is kept.
    """
    file = (cache or cache_folder()) / f"{_cluster_key(account, qos)}.json"
    kept = None if refresh else _read(file)
    if kept is not None and not 0 <= time.time() - kept.probed < KEPT_SECONDS:
        kept = None
    try:
        config = from_config(_config())
    except ClusterError:
        if kept is None:
            raise
        return kept
    if kept is not None and all(getattr(kept, name) == getattr(config, name) for name in _FROM_CONFIG):
        return kept
    found = _probed(config, account, qos)
    try:
        write_json(file, msgspec.to_builtins(found))
    except OSError:
        return found  # a full or read-only home costs a probe each time, no more
    return found


def cache_folder() -> Path:
    """Return where probes are kept: ``$XDG_CACHE_HOME/kd/clusters``, else ``~/.cache/kd/clusters``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kd" / "clusters"


def _cluster_key(account: str | None, qos: str | None) -> str:
    """Return a file name unlike that of any other cluster, account or QOS, without asking Slurm.

    The configuration file names the cluster and its controller; where there is none to read, this host's name is used.
    """
    given = os.environ.get("SLURM_CONF")
    for file in [given] if given else _CONFIG_FILES:
        try:
            text = Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        lines = re.findall(
            r"^\s*((?:ClusterName|SlurmctldHost|ControlMachine|SlurmctldPort)\s*=.*)$", text, re.M | re.I
        )
        place = [file, *lines]
        break
    else:
        place = [given or "", socket.getfqdn()]
    return hashlib.sha256("\n".join([*place, current_cluster(), account or "", qos or ""]).encode()).hexdigest()[:16]


def _read(file: Path) -> Capabilities | None:
    try:
        kept = read_bounded_json(file, Capabilities)
    except (OSError, ValueError):
        return None  # none yet, or another version's
    return kept if kept.format == FORMAT else None


def probe(account: str | None = None, qos: str | None = None) -> Capabilities:
    """Ask the controller, and accounting where there is any.

    Raises ClusterError when the controller does not answer.
    """
    return _probed(from_config(_config()), account, qos)


def _config() -> dict[str, str]:
    answer = call(*CONFIG, seconds=SECONDS)
    if answer.returncode != 0:
        raise ClusterError(f"scontrol does not answer: {' '.join(answer.stderr.split())}")
    return parse_config(answer.stdout)


def _probed(config: Capabilities, account: str | None, qos: str | None) -> Capabilities:
    found = structs.replace(config, probed=time.time())
    return with_limits(found, account, qos) if found.accounting else found


def parse_config(text: str) -> dict[str, str]:
    """Read ``scontrol show config``: its keys in lower case, since they differ between versions."""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def from_config(config: Mapping[str, str]) -> Capabilities:
    """Return the part of the capabilities that the controller's configuration shows."""
    # The parameter moved in Slurm 23.02; both spellings are heeded there.
    signalling = f"{config.get('slurmctldparameters', '')},{config.get('preemptparameters', '')}"
    return Capabilities(
        cluster=config.get("clustername", ""),
        controller=config.get("slurmctldhost[0]", config.get("slurmctldhost", "")),
        version=config.get("slurm_version", ""),
        accounting=config.get("accountingstoragetype", "").endswith(("slurmdbd", "ctld_relay")),
        max_array_size=_count(config.get("maxarraysize", "")),
        max_job_count=_count(config.get("maxjobcount", "")),
        min_job_age_seconds=_count(config.get("minjobage", "")),
        requeue=config.get("jobrequeue", "1") != "0",
        preempt_type=config.get("preempttype", "").removeprefix("preempt/"),
        preempt_mode=config.get("preemptmode", ""),
        preemption_signal="send_user_signal" in signalling,
        kill_invalid_dependents="kill_invalid_depend" in config.get("dependencyparameters", ""),
        enforce_part_limits=config.get("enforcepartlimits", ""),
    )


def with_limits(found: Capabilities, account: str | None, qos: str | None) -> Capabilities:
    """Ask accounting for this user's limits; a database that does not answer is named, and no error."""
    user = getpass.getuser()
    associations = _said("sacctmgr", "show", "user", user, "withassoc", f"format={','.join(_ASSOCIATION_FIELDS)}")
    if associations is None:
        shares = _said("sshare", f"--user={user}", "--format=Account,User")
        return structs.replace(found, accounts=parse_sshare(shares or "", user), unreadable=("sacctmgr",))
    qualities = _said("sacctmgr", "show", "qos", f"format={','.join(_QOS_FIELDS)}")
    limited = from_accounting(found, associations, qualities or "", account, qos)
    return structs.replace(limited, unreadable=() if qualities is not None else ("sacctmgr show qos",))


def _said(*command: str) -> str | None:
    try:
        answer = call(*command, "--noheader", "--parsable2", seconds=SECONDS)
    except ClusterError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def from_accounting(
    found: Capabilities, associations: str, qualities: str, account: str | None, qos: str | None
) -> Capabilities:
    """Add this user's accounts, defaults and tightest limits from sacctmgr's answers (its ``--parsable2`` text)."""
    rows = [row for row in _table(associations, _ASSOCIATION_FIELDS) if row["Cluster"] in ("", found.cluster)]
    default_account = rows[0]["DefaultAccount"] if rows else ""
    chosen = (account or default_account).lower()
    own = [row for row in rows if row["Account"] == chosen and not row["Partition"]]
    default_qos = _default_qos(own)
    quality = (qos or default_qos).lower()
    classes = [row for row in _table(qualities, _QOS_FIELDS) if quality and row["Name"].lower() == quality]
    named = [*((row, f"account {chosen}") for row in own), *((row, f"QOS {quality}") for row in classes)]
    keys = ("MaxSubmitJobs", "GrpSubmitJobs", "MaxSubmitJobsPerUser", "MaxSubmitJobsPerAccount")
    submit = [(count, whose) for row, whose in named for key in keys if (count := _count(row.get(key, ""))) is not None]
    wall = [(minutes, whose) for row, whose in named if (minutes := limit_minutes(row["MaxWall"])) is not None]
    max_submit, max_submit_of = min(submit, default=(None, ""))
    max_minutes, max_minutes_of = min(wall, default=(None, ""))
    return structs.replace(
        found,
        account=chosen or None,
        qos=quality or None,
        default_account=default_account or None,
        default_qos=default_qos or None,
        accounts=tuple(dict.fromkeys(row["Account"] for row in rows)),
        max_submit=max_submit,
        max_submit_of=max_submit_of,
        max_minutes=max_minutes,
        max_minutes_of=max_minutes_of,
    )


def _default_qos(associations: Iterable[Mapping[str, str]]) -> str:
    """Return the QOS of jobs that name none: the association's default, or the only one it has."""
    for row in associations:
        if row["DefaultQOS"] or "," not in row["QOS"]:
            return row["DefaultQOS"] or row["QOS"]
    return ""


def parse_sshare(text: str, user: str) -> tuple[str, ...]:
    """Return the accounts of a user from ``sshare --format=Account,User``."""
    rows = [line.split("|") for line in text.splitlines()]
    return tuple(row[0].strip() for row in rows if len(row) > 1 and row[1].strip() == user)


def _table(text: str, names: tuple[str, ...]) -> list[dict[str, str]]:
    rows = [line.split("|") for line in text.splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows if len(row) == len(names)]


def _count(text: str) -> int | None:
    """Return the number at the start of ``300 sec`` or ``1001``; None for none."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found else None
