"""How fast GPU types are, learnt from stages that finished: their result.json has the images a second, and where.

Nothing is stored besides: the results *are* the store. Only JSON is read; results of other clusters are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import msgspec

from kd.errors import RunError
from kd.rundir.folders import StageFolder, runs_in
from kd.rundir.stage_result import StageResult, read_result
from kd.rundir.stage_spec import AnySpec, TrainSettings, read_spec
from slurm.cluster.gpus import family, is_slice, speed_of
from slurm.cluster.profile import Profile

# What is read is bounded, so that a results folder with years of runs costs no more than a young one.
NEWEST_RUNS = 40
RESULTS_PER_STAGE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What one finished stage measured. ``setup`` is equal for stages that do the same work per epoch."""

    gpu_type: str
    setup: str
    images_per_second: float
    seconds_per_epoch: float


def setup_of(spec: AnySpec) -> str | None:
    """Return a text that is equal for stages whose epochs take equally long on a GPU; None without a training."""
    settings, data = spec.settings, spec.data
    if not isinstance(settings, TrainSettings):
        return None
    work = [getattr(settings, name) for name in ("model", "batch_size", "precision", "augment", "compile")]
    images = [getattr(data, name) for name in ("name", "arguments", "train_subset")] if data else []
    parts = (spec.kind, *work, sorted(settings.loss), *images, spec.resources.gpus)
    return msgspec.json.encode(parts, order="sorted").decode()


def read_history(results: Path, cluster: str, profile: Profile) -> tuple[Measurement, ...]:
    """Return what the newest runs of a results folder measured on this cluster; damaged results are passed over."""
    newest = sorted(runs_in(results), key=lambda run: (run.plan.stat().st_mtime, run.path), reverse=True)
    found = []
    for run in newest[:NEWEST_RUNS]:
        for folders in run.job_folders().values():
            finished = [folder for folder in folders if folder.result.is_file()][:RESULTS_PER_STAGE]
            found += [_measurement(folder, cluster, profile) for folder in finished]
    return tuple(measurement for measurement in found if measurement is not None)


def _measurement(folder: StageFolder, cluster: str, profile: Profile) -> Measurement | None:
    try:
        result, spec = read_result(folder), read_spec(folder)
    except RunError:
        return None  # another version's files
    if result is None or result.job.cluster != cluster:
        return None
    gpu_type, setup = _gpu_type(spec, result, profile), setup_of(spec)
    seconds = result.seconds.train if result.seconds else None
    if gpu_type is None or setup is None or not (result.images_per_second and seconds and result.epochs):
        return None
    return Measurement(
        gpu_type=gpu_type,
        setup=setup,
        images_per_second=result.images_per_second,
        seconds_per_epoch=seconds / result.epochs,
    )


def _gpu_type(spec: AnySpec, result: StageResult, profile: Profile) -> str | None:
    """Return the type of the GPU a stage ran on: as pinned, as its partition has it, else as the device is called."""
    kind, _, device = (result.device or "").partition(": ")
    if kind != "cuda":
        return None
    declared = {partition.name: partition.gpu_type for partition in profile.partitions}
    pinned = spec.resources.gpu_type or declared.get(result.job.partition or "")
    if pinned is not None or is_slice(device):
        return pinned
    model = family(device)
    listed = [name for name in profile.gpu_speed if model is not None and family(name) == model and not is_slice(name)]
    return listed[0] if len(listed) == 1 else model


def measured_speeds(
    speeds: Mapping[str, float], history: Iterable[Measurement], setup: str | None = None
) -> dict[str, float]:
    """Return the relative speeds corrected by what was measured.

    Types are compared only where they did the same work; the same work as ``setup`` counts before all other. The scale
    is that of the type measured most often.
    """
    groups = _by_setup(history)
    if setup in groups and len(groups[setup]) > 1:
        groups = {setup: groups[setup]}
    often = [gpu_type for types in groups.values() for gpu_type in types]
    if not often:
        return dict(speeds)
    reference = max(sorted(set(often)), key=often.count)
    base = speed_of(reference, speeds) or 1.0
    corrected = {**speeds, reference: base}
    for gpu_type in sorted(set(often) - {reference}):
        shared = [types for types in groups.values() if gpu_type in types and reference in types]
        ratios = [types[gpu_type] / types[reference] for types in shared]
        if ratios:
            corrected[gpu_type] = base * median(ratios)
    return corrected


def measured_work(spec: AnySpec, history: Sequence[Measurement], speeds: Mapping[str, float]) -> float | None:
    """Return how many seconds a stage would train on a GPU of speed 1, or None when nothing like it was measured."""
    setup = setup_of(spec)
    found = [
        measurement.seconds_per_epoch * speed
        for measurement in history
        if measurement.setup == setup and (speed := speed_of(measurement.gpu_type, speeds)) is not None
    ]
    return median(found) * spec.settings.epochs if found else None


def _by_setup(history: Iterable[Measurement]) -> dict[str | None, dict[str, float]]:
    """Return the median images per second of each type, by setup."""
    values: dict[str | None, dict[str, list[float]]] = {}
    for measurement in history:
        types = values.setdefault(measurement.setup, {})
        types.setdefault(measurement.gpu_type, []).append(measurement.images_per_second)
    return {setup: {name: median(numbers) for name, numbers in types.items()} for setup, types in values.items()}
