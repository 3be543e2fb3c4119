"""Whose a folder is: whether anybody else could exchange what lies in it (as OpenSSH's StrictModes asks of its files).

Jobs unpickle and import from a run folder, so what lies there runs as its user. The folder, everything above it and
what is loaded from it must therefore be this user's or root's, and nobody else may write to it. A folder above may be
open to all where it has the sticky bit, as /tmp has: others cannot rename or remove there what is not theirs.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from kd.errors import RunError
from kd.rundir.folders import RunFolder


def require_own(run: RunFolder) -> None:
    """Raise RunError, naming the path and the fix, when others could change what this run's jobs load.

    A folder that is not there yet is judged by those above it.
    """
    for path in _with_all_above(run.path):
        if fault := open_to_others(path, above=path != run.path):
            raise RunError(f"{run.path}: {fault}; choose another --results or --run")
    for path in (run.code, run.own_code, run.journal, run.plan, run.launch, run.stages, run.path / "submitted"):
        if fault := open_to_others(path):
            raise RunError(f"{run.path}: {path.name}: {fault}; choose another --run")
    for pattern in ("*", "stages/*", "submitted/*"):
        for path in run.path.glob(pattern):
            if path.is_symlink():
                raise RunError(f"{path}: is a link, so jobs would write elsewhere; choose another --run")


def open_to_others(path: Path, *, above: bool = False, owners: Collection[int] = ()) -> str:
    """Return how others than this user, root and ``owners`` could change a file or folder; nothing where they cannot.

    ``above``: it is a folder above what matters, and may be open to all with the sticky bit.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"
    if found.st_uid not in (os.geteuid(), 0, *owners):
        return f"{path} belongs to {user_name(found.st_uid)}, who could put other code there"
    if stat.S_ISLNK(found.st_mode) or (above and found.st_mode & stat.S_ISVTX):
        return ""
    if found.st_mode & 0o002 or (found.st_mode & 0o020 and not _is_private(found.st_gid)):
        who = "everybody" if found.st_mode & 0o002 else f"the group {_group_name(found.st_gid)}"
        return f"{path} may be written to by {who} (chmod go-w it{', or chmod +t' if above else ''})"
    return ""


def linked_entry(folder: Path) -> Path | None:
    """Return a link among a job's own entries, at any depth, or None: kd writes none, and would write through it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                return Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and (found := linked_entry(Path(entry.path))):
                return found
    return None


def user_name(number: int) -> str:
    """Return the name of a user id, or the id where it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _with_all_above(path: Path) -> Iterator[Path]:
    """Return a path and every folder above it, from the root on, as it is named and behind its links."""
    real = Path(os.path.realpath(path))
    yield from dict.fromkeys((*reversed(path.parents), *reversed(real.parents), path, real))


@cache
def _is_private(group: int) -> bool:
    """Whether a group is this user's alone, as many systems give each user one of the same name."""
    try:
        found, me = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group == me.pw_gid and found.gr_name == me.pw_name and not set(found.gr_mem) - {me.pw_name}


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
