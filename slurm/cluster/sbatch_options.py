"""Which sbatch options a cluster profile may set, and how those are joined that kd and the site both need.

Of two lines with one option sbatch takes the last (https://slurm.schedmd.com/sbatch.html): what kd computes would be
lost without a word, and with it the GPU, the dependency or the log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

Options: TypeAlias = dict[str, str | int | bool]

_OF_THE_JOB_FILE = "the job file's resources decide it"
_OF_KD = "kd computes it for every job"
# Options that a profile's `sbatch:` may not set, and what does it instead.
OWNED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("job-name", "array", "dependency", "hold", "chdir", "open-mode", "wrap", "batch"), _OF_KD),
        **dict.fromkeys(("output", "error", "input"), "kd keeps the log of every attempt (kd-status --logs)"),
        **dict.fromkeys(("nodes", "ntasks", "ntasks-per-node"), "a job is one process on one node"),
        **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task"), "see gpu_flag; " + _OF_THE_JOB_FILE),
        **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), "see memory_as; " + _OF_THE_JOB_FILE),
        **dict.fromkeys(("time", "cpus-per-task"), _OF_THE_JOB_FILE),
        **dict.fromkeys(("export", "export-file"), "use 'environment'"),
        **dict.fromkeys(("mail-user", "mail-type"), "use 'mail'"),
        **dict.fromkeys(("requeue", "no-requeue"), "use 'requeue'"),
        **dict.fromkeys(("parsable", "quiet", "test-only", "wait"), "kd reads sbatch's answer"),
        "clusters": "use 'clusters'",
        "partition": "use 'partitions' and 'cpu_partition'",
        "account": "use 'account'",
        "qos": "use 'qos'",
        "signal": "use 'signal_seconds'",
        "kill-on-invalid-dep": "use 'kill_invalid_dependents'",
    }
)
_SHORT: Mapping[str, str] = MappingProxyType(
    {
        "A": "account", "C": "constraint", "D": "chdir", "H": "hold", "J": "job-name", "M": "clusters", "N": "nodes",
        "W": "wait", "a": "array", "c": "cpus-per-task", "d": "dependency", "e": "error", "G": "gpus", "i": "input",
        "n": "ntasks", "o": "output", "p": "partition", "q": "qos", "t": "time", "x": "exclude", "w": "nodelist",
    }
)  # fmt: skip


def allowed_option(name: str) -> str:
    """Return an option's long name, in Slurm's spelling. Raises ValueError for one that kd or another key decides.

    sbatch takes the beginning of a name for the whole (``--out``), so beginnings of such names are refused too.
    """
    if name in _SHORT:
        raise ValueError(f"'{name}': options are given by their long names: '{_SHORT[name]}'")
    spelt = name.replace("_", "-")
    for owned, instead in OWNED.items():
        if owned == spelt or (owned.startswith(spelt) and spelt not in _WHOLE):
            raise ValueError(f"'{name}' may not be set here: {instead}")
    return spelt


_WHOLE = ("gres", "comment", "constraint", "wckey", "exclusive", "exclude", "nodelist")


def allowed_gres(value: str | int | bool) -> str | int | bool:
    """Return a ``gres`` of the profile. Raises ValueError where it names GPUs: their number is the job's."""
    if re.search(r"(^|,)\s*(gres[:/])?gpu\s*([:=,]|$)", str(value)):
        raise ValueError(f"'gres: {value}' names GPUs: how many is the job file's (resources.gpus)")
    return value


def joined(ours: Mapping[str, str], site: Mapping[str, str | int | bool]) -> Options:
    """Return the options of a job: ours and the site's; of those that both name, both in one value.

    A site's option with the value ``false`` is left out.
    """
    given = {name: value for name, value in site.items() if value is not False}
    both = {name: _JOINS[name](own, str(given[name])) for name, own in ours.items() if name in given}
    return {**ours, **given, **both}


def unused_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a line for the shell's defaults for sbatch, which jobs of kd do not take; nothing where there are none.

    An account that a site's guide has people export would otherwise be missing without a word.
    """
    found = [f"{name}={value}" for name, value in sorted(environment.items()) if name.startswith("SBATCH_") and value]
    named = [entry for entry in found if not entry.startswith("SBATCH_CLUSTERS=")]
    return (
        [f"not used: {', '.join(named)}; the cluster profile has account, qos, partitions and sbatch"] if named else []
    )


def _alternatives_in_brackets(features: str) -> str:
    """Return features that may stand behind ``&``: ``a|b`` in brackets, and ``[a|b]`` or ``a&(b|c)`` as they are."""
    outside, inner = "", features
    while inner != outside:
        outside, inner = inner, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", inner)
    return f"({features})" if "|" in outside else features


_JOINS = {
    "gres": lambda ours, site: f"{ours},{site}",
    "exclude": lambda ours, site: f"{ours},{site}",
    "constraint": lambda ours, site: f"{ours}&{_alternatives_in_brackets(site)}",
}
