"""Where all stages of one submission go: each is ranked knowing where those before it went.

Stages that start together share the idle GPUs. Stages of one model are compared by speed, so they get one GPU type.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import structs

from kd.rundir.stage_spec import AnySpec, Needs, TrainSettings
from slurm.cluster.profile import Profile
from slurm.placement.choice import Choice
from slurm.placement.choose_partition import choose_partition

if TYPE_CHECKING:
    from slurm.cluster.partitions_and_nodes import LiveState


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """The equal jobs of one stage. ``spec`` is that of one; ``waits``: they start after others of the run."""

    stage: str
    needs: Needs
    jobs: int = 1
    spec: AnySpec | None = None
    waits: bool = False

    @property
    def model(self) -> str:
        """What is compared by speed: the model's name, or the stage's where it trains none."""
        settings = self.spec.settings if self.spec else None
        return settings.model.name if isinstance(settings, TrainSettings) else self.stage


def choose_partitions(profile: Profile, live: LiveState | None, stages: Iterable[Asking]) -> dict[str, Choice]:
    """Return the ranking of each stage, in the order given."""
    choices: dict[str, Choice] = {}
    pinned: dict[str, str | None] = {}
    ahead: Counter[tuple[str, str | None]] = Counter()
    for asking in stages:
        needs = structs.replace(asking.needs, gpu_type=asking.needs.gpu_type or pinned.get(asking.model))
        before = {} if asking.waits else ahead
        choice = choose_partition(profile, live, needs, jobs=asking.jobs, spec=asking.spec, ahead=before)
        pinned.setdefault(asking.model, choice.gpu_type)
        if not asking.waits:
            ahead.update({(won.partition, won.gpu_type): asking.jobs for won in choice.candidates[: choice.winners]})
        choices[asking.stage] = choice
    return choices
