"""What jobs read and is not there: found at submission, not after hours in the queue. Torch-free."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from kd.errors import DataError
from kd.jobfile.plan import Plan, PlannedJob
from kd.rundir.folders import JobKey
from slurm.cluster.profile import Profile

# Models whose published weights lie in torch's cache as NAME-DIGEST.pth.
_IN_TORCH_S_CACHE = ("mobilenet_v2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def missing_inputs(plan: Plan, keys: Collection[JobKey]) -> list[str]:
    """Return a line for every folder of data, CSV and file of weights that these jobs name and that is not there."""
    jobs = [job for job in plan.jobs if job.key in keys]
    return list(dict.fromkeys(line for job in jobs for line in (*_missing_data(job), *_missing_weights(job))))


def missing_caches(plan: Plan, keys: Collection[JobKey], profile: Profile) -> list[str]:
    """Return a line for every model whose published weights are not in torch's cache: the nodes may have no network."""
    environment = {**os.environ, **profile.environment}
    cache = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = Path(os.path.expandvars(environment.get("TORCH_HOME") or f"{cache}/torch")).expanduser()
    folder = home / "hub" / "checkpoints"
    components = [
        found for job in plan.jobs if job.key in keys for found in _components(job.spec.to_json()["settings"])
    ]
    wanted = {str(found.get("name")) for found in components if found["arguments"].get("pretrained") is True}
    return [
        f"pretrained: {folder} has no {name}-*.pth, the published weights of {name}: put the file there"
        for name in sorted(wanted.intersection(_IN_TORCH_S_CACHE))
        if not any(folder.glob(f"{name}-*.pth"))
    ]


def _missing_data(job: PlannedJob) -> Iterator[str]:
    data = job.spec.data
    if data is None or not data.root:
        return
    root = Path(data.root)
    if not root.exists():
        yield f"data.root: {root} does not exist (docs/data.md says what to put there)"
    elif root.is_dir() and isinstance(csv := data.arguments.get("csv"), str):
        yield from _faulty_table(root / csv)


def _faulty_table(file: Path) -> Iterator[str]:
    try:
        with open(file, "rb") as opened:
            if not opened.readline().strip():
                raise DataError("it is empty")
    except OSError as error:
        yield f"data.csv: {file}: {error.strerror}"
    except DataError as error:
        yield f"data.csv: {file}: {error}"


def _missing_weights(job: PlannedJob) -> Iterator[str]:
    for component in _components(job.spec.to_json()["settings"]):
        file = component["arguments"].get("pretrained")
        if isinstance(file, str) and not Path(file).is_file():
            yield f"stages.{job.key.stage}: pretrained: there is no file {file}"


def _components(settings: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every component of a stage's settings, wherever in them it stands."""
    if isinstance(settings, Mapping):
        if isinstance(settings.get("arguments"), Mapping):
            yield settings
        settings = list(settings.values())
    if isinstance(settings, list):
        for part in settings:
            yield from _components(part)
