"""The deployment table: what each model costs, and what it gains and loses against the model that it replaces.

Speeds are means over the seeds of what the stages measured, in the runtime that is named. A speed-up is given only
between two speeds in the same runtime: processor, threads, and precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean

from kd.report.report_stages import Deployment, StageSummary
from kd.report.summary import agreed
from kd.rundir.result_sections import Cost, DeviceCost

Stages = Mapping[str, StageSummary]  # by name, in the plan's order


def deployments(stages: Stages) -> list[Deployment]:
    """Return a row for every stage that left a measured model."""
    return [_row(name, stages) for name, stage in stages.items() if stage.n]


def _row(name: str, stages: Stages) -> Deployment:
    stage, costs = stages[name], _costs(stages[name])
    reference = _reference(name, stages)
    own = [cost.cpu for cost in costs if cost.cpu]
    gain, over = _speed_up(stage, costs, reference, stages)
    size, of_reference = _bytes(stage), _bytes(stages[reference]) if reference else None
    return Deployment(
        stage=name,
        reference=reference,
        accuracy_drop=_drop(stage, stages[reference]) if reference else None,
        flops=next((cost.flops for cost in costs if cost.flops is not None), None),
        bytes=size,
        compression=of_reference / size if size and of_reference else None,
        latency_median=_median(own),
        latency_p95=_mean(device.latency.p95 for device in own if device.latency),
        images_per_second=_mean(device.images_per_second for device in own),
        batch=next((device.batch for device in own if device.batch), None),
        runtime=_runtime(own),
        latency_in_pytorch=_median(_in_pytorch(costs)),
        speed_up=gain,
        speed_up_over=over,
    )


def _reference(name: str, stages: Stages) -> str | None:
    """Return the model that a stage's model replaces: that of an export, a start, a teacher, else the first teacher."""
    stage = stages[name]
    first_teacher = next((other for other, each in stages.items() if each.role == "teacher"), None)
    known = (stage.parents.get("of"), stage.parents.get("start"), stage.teacher, first_teacher)
    return next((other for other in known if other in stages and other != name), None)


def _speed_up(
    stage: StageSummary, costs: list[Cost], reference: str | None, stages: Stages
) -> tuple[float | None, str | None]:
    """Return how many times as fast the model is, and as what."""
    own = [cost.cpu for cost in costs if cost.cpu]
    if files := [cost.float32_file for cost in costs if cost.float32_file]:
        return _ratio(files, own), "its float32 file"
    if networks := [cost.network for cost in costs if cost.network]:
        slow, fast = _median(networks), _median(own)
        return slow / fast if slow and fast else None, "PyTorch"
    if reference is None:
        return None, None
    gain = _ratio(_in_pytorch(_costs(stages[reference])), own)
    return gain, reference if gain is not None else None


def _ratio(slow: list[DeviceCost], fast: list[DeviceCost]) -> float | None:
    """Return the ratio of two latencies; None unless all were measured in one runtime."""
    runtimes = {device.runtime for device in (*slow, *fast)}
    one, two = _median(slow), _median(fast)
    return one / two if len(runtimes) == 1 and one and two else None


def _drop(stage: StageSummary, reference: StageSummary) -> float | None:
    """Return how much lower the test metric is than the reference's, over the seeds that both have, else of means."""
    paired = [reference.values[seed] - value for seed, value in stage.values.items() if seed in reference.values]
    if paired:
        return fmean(paired)
    return None if stage.mean is None or reference.mean is None else reference.mean - stage.mean


def _costs(stage: StageSummary) -> list[Cost]:
    return [job.cost for job in stage.jobs.values() if job.cost]


def _in_pytorch(costs: Iterable[Cost]) -> list[DeviceCost]:
    return [cost.in_pytorch for cost in costs if cost.in_pytorch]


def _bytes(stage: StageSummary) -> int | None:
    mean = _mean(job.file_bytes for job in stage.jobs.values())
    return None if mean is None else round(mean)


def _median(devices: Iterable[DeviceCost]) -> float | None:
    return _mean(device.latency.median for device in devices if device.latency)


def _runtime(devices: list[DeviceCost]) -> str | None:
    """Return the runtime's name, several where the seeds ran on different processors."""
    named = agreed([device.runtime for device in devices])
    return "; ".join(named) if isinstance(named, list) else named


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
