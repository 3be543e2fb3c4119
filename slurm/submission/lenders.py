"""Which other runs may lend their results: this user's own, and those of users and groups that --reuse-from names.

A fingerprint only says what a job was to do. That somebody did it, and honestly, is a matter of trust in them.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kd.errors import RunError
from kd.rundir.folders import RunFolder, StageFolder, runs_in
from kd.rundir.ownership import open_to_others, user_name


@dataclass(frozen=True, slots=True)
class Trusted:
    """Users, and groups of which every member is trusted, by their ids."""

    users: frozenset[int]
    groups: frozenset[int] = frozenset()

    def has(self, user: int) -> bool:
        """Return whether results of a user may be taken over."""
        if user in self.users:
            return True
        try:
            entry = pwd.getpwuid(user)
        except KeyError:
            return False
        return any(group == entry.pw_gid or entry.pw_name in _members(group) for group in self.groups)


def trusted(names: Sequence[str] = ()) -> Trusted:
    """Return this user and those that ``--reuse-from`` names, as users or as groups.

    Raises RunError for a name that is neither.
    """
    users, groups = {os.geteuid()}, set()
    for name in names:
        try:
            users.add(pwd.getpwnam(name).pw_uid)
        except KeyError:
            try:
                groups.add(grp.getgrnam(name).gr_gid)
            except KeyError:
                raise RunError(f"--reuse-from {name}: no such user and no such group") from None
    return Trusted(frozenset(users), frozenset(groups))


def other_runs(run: RunFolder) -> Iterator[RunFolder]:
    """Return the runs beside this one; a link to a run elsewhere (a lab's store of teachers) stands for that run."""
    own = os.path.realpath(run.path)
    for other in runs_in(run.path.parent):
        real = Path(os.path.realpath(other.path))
        if str(real) != own:
            yield RunFolder(real)


def owner_of_run(lender: RunFolder) -> int:
    """Return the user id of a run folder's owner. Raises OSError when it cannot be looked at."""
    return os.lstat(lender.path).st_uid


def require_lendable(lender: RunFolder, folders: Iterable[StageFolder], owner: int) -> None:
    """Raise RunError when others than the run's owner could have written what is to be taken over."""
    jobs = (path for folder in folders for path in (folder.path.parent, folder.path, folder.result))
    for path in dict.fromkeys((lender.path, lender.plan, lender.stages, *jobs)):  # each once: jobs share folders
        if fault := open_to_others(path, owners=(owner,)):
            raise RunError(fault)
        if os.path.islink(path):
            raise RunError(f"{path} is a link")


def owner_words(owner: int) -> str:
    """Return `` of hsal`` for another user's run, and nothing for one's own."""
    return "" if owner == os.geteuid() else f" of {user_name(owner)}"


def _members(group: int) -> Sequence[str]:
    try:
        return grp.getgrgid(group).gr_mem
    except KeyError:
        return ()
