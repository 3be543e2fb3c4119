"""A ranking of partitions, as values.

``slurm.placement.choose_partition`` makes them, ``slurm.placement.explain_choice`` puts them into words.
"""

from __future__ import annotations

from dataclasses import dataclass

from kd.errors import ClusterError
from kd.rundir.stage_spec import Needs

UNLISTED = "not in the cluster profile's list"


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One partition, or one GPU type of it. Times are seconds; None where nothing is known.

    ``slots`` counts the jobs that could start now, ``capacity`` those that could run at once on an empty cluster.
    ``start`` is Slurm's earliest start where no job could start now. ``work`` is one job's time on this type,
    ``finish`` when the last of all jobs is done.
    """

    partition: str
    gpu_type: str | None = None
    refusal: str | None = None  # the hard limit that it fails
    pin: bool = False  # the partition has other GPUs too: the type must be asked for
    free_gpus: int | None = None
    gpus: int | None = None
    slots: int | None = None
    capacity: int | None = None
    start: float | None = None
    work: float | None = None
    finish: float | None = None
    preempts_to: str | None = None
    exclude: tuple[str, ...] = ()  # nodes whose GPUs are of another type, where the type cannot be asked for
    notes: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it passes every hard limit."""
        return self.refusal is None

    @property
    def name(self) -> str:
        """The partition, with the GPU type where it offers several."""
        return f"{self.partition}/{self.gpu_type}" if self.pin else self.partition


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The ranking for one job's needs: ``candidates`` best first, those that do not fit last.

    The first ``winners`` of them are equals, and are submitted as a list. Without candidates the site's default
    partition is taken. ``live``: whether the cluster's state went into it, ``measured``: whether the work is known
    from finished stages; else it is the time limit, as what the slowest GPU type needs.
    """

    needs: Needs
    jobs: int = 1
    live: bool = False
    measured: bool = False
    candidates: tuple[Candidate, ...] = ()
    winners: int = 0

    @property
    def partition(self) -> str | None:
        """The value of ``--partition``; None for the site's default."""
        return ",".join(dict.fromkeys(candidate.partition for candidate in self.candidates[: self.winners])) or None

    @property
    def exclude(self) -> tuple[str, ...]:
        """The nodes that the job must not run on, so that it gets the GPUs that were chosen."""
        return self.candidates[0].exclude if self.winners else ()

    @property
    def gpu_type(self) -> str | None:
        """The GPU type to ask for: the one that was needed, or that won against others of its partition."""
        pinned = any(candidate.pin for candidate in self.candidates[: self.winners])
        return self.candidates[0].gpu_type if pinned else self.needs.gpu_type

    def require(self) -> Choice:
        """Return self; raise ClusterError, with every partition's reason, when none fits."""
        if self.candidates and not self.winners:
            offered = [candidate for candidate in self.candidates if candidate.refusal != UNLISTED]
            reasons = "; ".join(f"{candidate.name}: {candidate.refusal}" for candidate in offered)
            raise ClusterError(f"no partition fits: {reasons}")
        return self
