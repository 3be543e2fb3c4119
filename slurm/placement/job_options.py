"""What sbatch is told about one job, by the options' long names: its resources in the site's form, and the site's own.

The submission and ``sbatch --test-only`` both ask with these. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kd.rundir.stage_spec import Needs
from slurm.cluster.profile import Profile
from slurm.cluster.sbatch_options import Options, joined


def job_options(needs: Needs, profile: Profile, partition: str | None, *, exclude: Sequence[str] = ()) -> Options:
    """Return the options of a job of these needs in a partition; ``exclude`` names nodes it must not run on."""
    site = profile.options(with_gpu=needs.gpus > 0, partition=partition)
    ours: dict[str, str] = {
        **({} if site.account is None else {"account": site.account}),
        **({} if site.qos is None else {"qos": site.qos}),
        **({} if "cpus" in profile.omit else {"cpus-per-task": str(needs.cpus)}),
        **({} if "memory" in profile.omit else _memory(needs, profile, site.memory_as or "node")),
        **gpu_options(needs, profile),
        **({"exclude": ",".join(exclude)} if exclude else {}),
    }
    return joined(ours, site.sbatch)


def _memory(needs: Needs, profile: Profile, form: str) -> dict[str, str]:
    """Return the job's memory per node, per processor or per GPU, rounded up to whole MiB."""
    if form == "cpu":
        cpus = 1 if "cpus" in profile.omit else needs.cpus
        return {"mem-per-cpu": f"{math.ceil(needs.memory_mb / cpus)}M"}
    if form == "gpu" and needs.gpus:
        return {"mem-per-gpu": f"{math.ceil(needs.memory_mb / needs.gpus)}M"}
    return {"mem": f"{needs.memory_mb}M"}


def gpu_options(needs: Needs, profile: Profile) -> dict[str, str]:
    """Return the sbatch options, by their long names, that ask for the GPUs in this site's form."""
    if not needs.gpus:
        return {}
    typed = needs.gpu_type is not None and profile.gpu_type_as == "gres"
    amount = f"{needs.gpu_type}:{needs.gpus}" if typed else str(needs.gpus)
    options: dict[str, str] = {profile.gpu_flag: f"gpu:{amount}" if profile.gpu_flag == "gres" else amount}
    if needs.gpu_type is not None and profile.gpu_type_as == "constraint":
        options["constraint"] = needs.gpu_type
    return options
