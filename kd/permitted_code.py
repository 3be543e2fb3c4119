"""Whether a person lets the code of a run be run here: that of their own run folders, or what they allow outright."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kd.errors import RunError
from kd.run import use_code_of
from kd.rundir.folders import RunFolder, StageFolder
from kd.rundir.ownership import open_to_others
from kd.user_code.names import allow, split_name

HOW = "kd.load(…, allow_code=True) or --allow-code runs it"


def permit_code(path: Path, names: Iterable[str], *, allow_code: bool) -> None:
    """Let these names of a model's own run be imported, where ``path`` is its stage folder or a file in it.

    They then mean what was frozen with that run. Raises RunError when one is code of the user's, the run is not this
    user's alone, and it is not allowed.
    """
    run = _run_of(path)
    permitted = allow_code or (run is not None and _is_ours(run))
    wanted = [name for name in names if split_name(name)]
    if wanted and not permitted:
        whose = f"the run {run.path}, which others can write to" if run else "nobody's run folder"
        raise RunError(f"{path}: to use it runs the code of {wanted[0]}, from {whose}; {HOW}")
    if run is not None and permitted:
        use_code_of(run)
    for name in wanted:
        allow(name)


def _run_of(path: Path) -> RunFolder | None:
    folder = StageFolder(path if path.is_dir() else path.absolute().parent.parent)
    return folder.run if folder.spec.is_file() else None


def _is_ours(run: RunFolder) -> bool:
    """Whether nobody but this user, or root, can change a run's frozen code."""
    return not any(open_to_others(path) for path in (run.path, run.own_code))
