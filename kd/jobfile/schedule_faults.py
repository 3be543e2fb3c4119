"""When a learning-rate schedule cannot mean what it says: drops out of order or past the end, a warm-up too long."""

from __future__ import annotations

from collections.abc import Iterator

from kd.jobfile.schema import Component
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault


def drop_faults(schedule: Component, epochs: int, address: Address) -> Iterator[Fault]:
    """Yield the faults of a schedule of so many epochs, which stands at ``address``."""
    arguments = schedule.arguments
    milestones = arguments.get("milestones")
    if isinstance(milestones, list) and all(type(milestone) is int for milestone in milestones):
        if milestones != sorted(set(milestones)):
            yield (*address, "milestones"), f"milestones must increase, got {milestones}"
        elif milestones and milestones[-1] >= epochs:
            last = (*address, "milestones", len(milestones) - 1)
            yield last, f"milestone {milestones[-1]} lies past the end: {epochs} epochs"
    warmup = arguments.get("warmup")
    if not isinstance(warmup, (int, float)):
        return
    drops = milestones if isinstance(milestones, list) else [arguments.get("every")]
    early = [drop for drop in drops if type(drop) is int and drop < warmup]
    if warmup >= epochs:
        yield (*address, "warmup"), f"a warm-up of {warmup:g} epochs fills all {epochs} epochs"
    elif early:
        yield (*address, "warmup"), f"a warm-up of {warmup:g} epochs lasts beyond the first drop at epoch {early[0]}"
