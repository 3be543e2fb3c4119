"""Whether a stage still has to run, and whether its parents have finished: files decide, not Slurm's states."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from kd.errors import RunError
from kd.rundir import plan_file
from kd.rundir.borrowed_file import changed_since_pinned
from kd.rundir.claim import Claim
from kd.rundir.failure import read_failure
from kd.rundir.folders import StageFolder
from kd.rundir.stage_result import damaged_artefacts, read_result
from kd.rundir.stage_spec import AnySpec


def already_done(folder: StageFolder, spec: AnySpec, claim: Claim, log: Callable[[str], None]) -> bool:
    """Return whether result.json exists, is of this spec, and its artefacts verify.

    What belongs to another spec or is damaged is set aside, so that training starts from nothing.
    """
    if spec.kind == plan_file.REPORT:  # what it reads may have changed since
        return False
    result = read_result(folder)
    if result is None:
        if claim.previous and claim.previous.fingerprint not in (None, spec.fingerprint):
            _set_aside(folder, "earlier attempts followed another spec", log)
        return False
    if result.fingerprint != spec.fingerprint:
        _set_aside(folder, "result.json belongs to another spec", log)
        return False
    damaged = damaged_artefacts(folder, result)
    if damaged:
        _set_aside(folder, f"{', '.join(damaged)}: missing or changed since result.json was written", log)
        return False
    log("already done: result.json and its artefacts verify")
    return True


def _set_aside(folder: StageFolder, why: str, log: Callable[[str], None]) -> None:
    """Move earlier results into ``replaced-<n>/``: nothing is resumed from them, and nothing is lost."""
    target = folder.next_replaced()
    log(f"{why}; earlier results are moved to {target.name} and training starts over")
    target.mkdir()
    # result.json first: from then on the stage is not done
    for path in (folder.result, folder.progress, *folder.state_entries()):
        if path.exists():
            path.rename(target / path.name)


def find_parents(folder: StageFolder, spec: AnySpec, pauses: Sequence[float] = ()) -> dict[str, StageFolder]:
    """Return the parents' folders by reference; every one has finished, but those of a report may not have.

    Looks again after each of ``pauses`` (seconds). Raises RunError naming the parent that lacks, and why.
    """
    run = folder.run
    parents = {reference: run.stage(parent.key) for reference, parent in spec.parents.items()}
    if spec.kind != plan_file.REPORT:
        for reference, parent in spec.parents.items():
            name = f"parent {parent.key} ('{reference}')"
            _require_finished(name, parents[reference], parent.fingerprint, pauses)
    return parents


def _require_finished(name: str, parent: StageFolder, fingerprint: str, pauses: Sequence[float]) -> None:
    result = read_result(parent)
    for pause in pauses:
        if result is not None:
            break
        time.sleep(pause)
        result = read_result(parent)
    if result is None:
        failure = read_failure(parent)
        why = f"it failed: {failure.reason}" if failure else f"{parent.result} does not exist"
        raise RunError(f"{name} has not finished: {why}")
    if fault := changed_since_pinned(parent):
        raise RunError(f"{name}: {fault}; submit the run again")
    if result.fingerprint != fingerprint:
        raise RunError(f"{name} holds the result of another spec; submit the run again")
