"""What a stage is given: its folder, where to write, its parents, and how to talk to whoever started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kd.files import sha256_file
from kd.rundir.folders import StageFolder
from kd.rundir.result_sections import JobFacts

NO_JOB = JobFacts()


class Interrupted(Exception):
    """The stage saved its state and stopped because it was asked to; run it again to go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A further process of a stage: its number (from 1), how many there are, the port where the first one waits."""

    rank: int
    count: int
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StageContext:
    """The surroundings of one stage.

    ``folder`` is durable; ``work`` is where the stage writes while it runs, a scratch folder or
    ``folder.path`` itself. ``parents`` maps a reference ("teacher") to a folder with that parent's
    result.json and checkpoint/. ``data_root`` is staged data, or None to use the one of the spec.
    ``stop_requested`` is asked at every step. ``publish`` copies files, named relative to ``work``, to
    ``folder`` and returns their SHA-256. ``facts`` returns what the result records of the job. ``member`` is set in the
    further processes of a stage (see ``kd.stages.training.process_team``), which write nothing.
    """

    folder: StageFolder
    work: Path
    parents: Mapping[str, Path]
    data_root: Path | None
    stop_requested: Callable[[], bool]
    publish: Callable[[Sequence[str]], dict[str, str]]
    facts: Callable[[], JobFacts] = JobFacts
    member: Member | None = None

    @property
    def job_id(self) -> str | None:
        """The scheduler's id of the job, where there is one."""
        return self.facts().job_id


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What the first process of a stage sends to a further one: where it works, and as which member."""

    folder: str
    work: str
    parents: dict[str, str]
    data_root: str | None
    member: Member

    def context(self) -> StageContext:
        """Return the surroundings of the further process, which asks nobody and publishes nothing."""
        return StageContext(
            folder=StageFolder(Path(self.folder)),
            work=Path(self.work),
            parents={name: Path(path) for name, path in self.parents.items()},
            data_root=Path(self.data_root) if self.data_root else None,
            stop_requested=lambda: False,
            publish=lambda names: {},
            member=self.member,
        )


def in_place(
    folder: StageFolder,
    *,
    parents: Mapping[str, Path] | None = None,
    stop_requested: Callable[[], bool] = lambda: False,
    facts: JobFacts = NO_JOB,
) -> StageContext:
    """Return the context of a stage that works in its own folder, with no staging: publishing only hashes."""
    return StageContext(
        folder=folder,
        work=folder.path,
        parents=parents or {},
        data_root=None,
        stop_requested=stop_requested,
        publish=lambda names: {name: sha256_file(folder.path / name) for name in names},
        facts=lambda: facts,
    )
