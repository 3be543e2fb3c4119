"""plan.json as a value: the job graph of a run, without the specs (each lies in its stage folder).

Read by every command that only looks at a run, so it loads neither the job file's schema nor pydantic.
"""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status.
import time

import msgspec
from msgspec import Struct, field, structs

from kd.errors import RunError
from kd.files import write_json
from kd.rundir.bounded_json import read_bounded_json, read_object
from kd.rundir.folders import JobKey, RunFolder
from kd.rundir.names import PlainName, SeedNumber, ShownName, ShownStage
from kd.rundir.stage_spec import JobReference, Needs

FORMAT = 1
REPORT = "report"  # the kind that runs after all others, whatever became of them


class PlannedEntry(Struct, frozen=True, kw_only=True):
    """One job. ``parents`` maps a reference (``teacher``) to the job it means."""

    stage: ShownStage
    seed: SeedNumber | None
    kind: PlainName
    role: ShownName | None = None
    fingerprint: str
    parents: dict[str, JobReference]
    resources: Needs | None = None  # nobody reads them here: the spec has them

    @property
    def key(self) -> JobKey:
        """Return the name of the job."""
        return JobKey(self.stage, self.seed)

    @property
    def waits_for_all_ended(self) -> bool:
        """Whether it runs after all others, whatever became of them."""
        return self.kind == REPORT


class PlanFile(Struct, frozen=True, kw_only=True):
    """The whole of plan.json. ``jobs`` stand in an order in which every parent comes before its children."""

    format: int
    pipeline: ShownName
    about: str = ""
    seeds: list[SeedNumber]
    comparisons: dict[ShownStage, list[ShownStage]] = field(default_factory=dict)
    headline: ShownStage | None = None
    expect: dict[ShownStage, str] = field(default_factory=dict)
    jobs: list[PlannedEntry]
    run: str = ""
    created: float = 0.0  # a Unix time

    def parents_of(self, job: PlannedEntry) -> tuple[JobKey, ...]:
        """Return the jobs that one waits for: its references, or for the report all that train."""
        if job.waits_for_all_ended:
            return tuple(other.key for other in self.jobs if not other.waits_for_all_ended)
        return tuple(dict.fromkeys(parent.key for parent in job.parents.values()))


def write_plan(run: RunFolder, plan: PlanFile) -> None:
    """Write plan.json atomically, with the run's name and the time."""
    write_json(run.plan, msgspec.to_builtins(structs.replace(plan, run=run.name, created=time.time())))


def read_plan(run: RunFolder) -> PlanFile:
    """Return the plan of a run.

    Raises RunError, in one line, when there is no such run, or its plan is damaged or of another version of kd.
    """
    file = run.require().plan
    try:
        plan = read_bounded_json(file, PlanFile)
    except (OSError, ValueError) as error:
        _require_known_format(run, (read_object(file) or {}).get("format", FORMAT))
        raise RunError(f"{file}: damaged ({error})") from None
    _require_known_format(run, plan.format)
    return plan


def _require_known_format(run: RunFolder, version: object) -> None:
    if version != FORMAT:
        raise RunError(f"{run.plan}: another version of kd wrote it (format {version}; this one reads {FORMAT})")
