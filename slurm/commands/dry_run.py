"""``kd-submit --dry-run`` and ``--check``: the very requests that submission would send, shown or shown to Slurm."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from msgspec import to_builtins

from kd.jobfile.plan import Plan
from kd.rundir.folders import JobKey, RunFolder
from slurm.cluster.slurm_commands import call
from slurm.submission.request import Request
from slurm.submission.submitit_calls import script_text


def print_scripts(plan: Plan, run: RunFolder, cluster: str, requests: Sequence[Request], *, as_json: bool) -> None:
    """Print every sbatch script in the order in which it would be sent, with symbols for the ids of its parents."""
    ids: dict[JobKey, str] = {}
    shown: list[tuple[Request, str]] = []
    for request in requests:
        shown.append((request, script_text(request, ids)))
        ids.update(request.symbolic_ids())
    if as_json:
        scripts = [
            {"request": request.name, "jobs": [str(job.key) for job in request.jobs], "script": text}
            for request, text in shown
        ]
        print(json.dumps({**to_builtins(plan.to_file()), "run": run.name, "requests": scripts}, indent=1))
        return
    for request, text in shown:
        print(f"# ── {request.name}: {len(request.jobs)} × {request.stage}, cluster {cluster} ──")
        print(text)


def check_scripts(requests: Sequence[Request]) -> int:
    """Ask ``sbatch --test-only`` about each script; print its answers. Returns 2 when one is refused."""
    worst = 0
    for request in requests:
        ids = dict.fromkeys(request.edge.parents if request.edge else (), "1")
        text = "\n".join(line for line in script_text(request, ids).splitlines() if "--dependency" not in line)
        answer = call("sbatch", "--test-only", text=text)
        print(f"{request.name}: {' '.join(answer.stderr.split())}", file=sys.stderr)
        worst = max(worst, 2 * (answer.returncode != 0))
    return worst
