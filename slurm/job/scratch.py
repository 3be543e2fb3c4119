"""Finds a scratch folder that truly belongs to this job, and removes what it made there.

Slurm itself sets no TMPDIR: with ``--export=ALL`` the login node's value leaks into the job and may name a
folder that is shared, slow, or gone. A candidate is therefore used only with proof (see :func:`_proof`), and
never directly: always a fresh sub-folder named for the job and its restart, because tasks of an array may
share a node.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from slurm.job.job_environment import JobIdentity

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MOUNT_TABLE = Path("/proc/self/mountinfo")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """The folder to work in, or None to work in place, and the reason in words."""

    path: Path | None
    reason: str


class _Refused(Exception):
    """A candidate is no scratch folder of this job; ``str(error)`` is the reason."""


@contextmanager
def scratch_folder(
    candidates: Sequence[str],
    job: JobIdentity,
    environment: Mapping[str, str],
    submit_tmpdir: str | None,
    mount_table: Path = _MOUNT_TABLE,
) -> Iterator[Scratch]:
    """Yield a fresh private folder under the first candidate that belongs to this job; remove it afterwards.

    ``candidates`` are the profile's, in order of preference (``$SLURM_TMPDIR``, ``/local/$SLURM_JOB_ID``);
    ``submit_tmpdir`` is TMPDIR as it was where the job was submitted. Without a usable candidate the path is
    None.
    """
    refusals: list[str] = []
    for candidate in candidates if job.raw_id else ():
        try:
            base, made, proof = _claim_base(candidate, job, environment, submit_tmpdir, mount_table)
            _remove_older(base, job)
            path = Path(tempfile.mkdtemp(prefix=f"{_prefix(job)}r{job.restarts}-", dir=base))
        except (_Refused, OSError) as error:
            refusals.append(f"{candidate}: {error}")
            continue
        try:
            yield Scratch(path=path, reason=f"{candidate} is {path.parent}: {proof}")
        finally:
            shutil.rmtree(path, ignore_errors=True)
            if made:
                with suppress(OSError):  # not empty or already gone: the site's epilog owns the rest
                    base.rmdir()
        return
    why = "; ".join(refusals) or ("the profile names no scratch" if job.raw_id else "not a Slurm job")
    yield Scratch(path=None, reason=f"works in place ({why})")


def _claim_base(
    candidate: str,
    job: JobIdentity,
    environment: Mapping[str, str],
    submit_tmpdir: str | None,
    mount_table: Path,
) -> tuple[Path, bool, str]:
    """Return the candidate's folder, whether it was made here, and why it is this job's; raise _Refused otherwise."""
    base = Path(_expand(candidate, environment))
    if not base.is_absolute():
        raise _Refused(f"{base} is not an absolute path")
    proof = _proof(base, job, submit_tmpdir, mount_table)
    made = False
    if not base.exists():
        base.mkdir(mode=0o700)  # /local/$SLURM_JOB_ID: some sites leave that to the user
        made = True
    status = base.lstat() if made else base.stat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
        raise _Refused(f"{base} is not a folder of yours")
    return base, made, proof


def _expand(candidate: str, environment: Mapping[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}``; an unset or empty variable refuses the candidate."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not environment.get(name):
            raise _Refused(f"${name} is not set")
        return environment[name]

    return _VARIABLE.sub(value, candidate)


def _proof(base: Path, job: JobIdentity, submit_tmpdir: str | None, mount_table: Path) -> str:
    """Return in words what shows that ``base`` belongs to this job alone, or raise _Refused.

    1. It is mounted from a folder that names the job (job_container/tmpfs, a private /tmp). 2. Its path names
    the job.
    3. It is a private folder of this user. For 2 and 3 it must differ from the TMPDIR of the shell that
    submitted.
    """
    if any(_names_job(root, job) for root in _mounted_from(base, mount_table)):
        return "it is mounted for this job alone"
    if submit_tmpdir is not None and os.path.realpath(base) == os.path.realpath(submit_tmpdir):
        raise _Refused(f"{base} is the TMPDIR of the shell that submitted, not of this job")
    if _names_job(str(base), job):
        return "its path names this job"
    if not base.is_dir():
        raise _Refused(f"{base} does not exist")
    status = base.stat()
    if submit_tmpdir is None or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise _Refused(f"nothing shows that {base} belongs to this job (name a path with $SLURM_JOB_ID in the profile)")
    return "it is private and was not set where the job was submitted"


def _names_job(path: str, job: JobIdentity) -> bool:
    names = [re.escape(name) for name in (job.raw_id, job.job_id) if name]
    return bool(re.search(rf"(?<![0-9])(?:{'|'.join(names)})(?![0-9])", path))


def _mounted_from(base: Path, mount_table: Path) -> list[str]:
    """Return, for each mount at exactly ``base``, the folder within its file system that is mounted there
    (proc(5)).
    """
    try:
        lines = mount_table.read_text(errors="surrogateescape").splitlines()
    except OSError:  # no /proc: this proof is not to be had
        return []
    fields = [[_unescape(field) for field in line.split(" ")] for line in lines]
    return [field[3] for field in fields if len(field) > 4 and field[4] == str(base)]


def _unescape(field: str) -> str:
    """Undo the mount table's octal escapes of spaces, tabs and newlines."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)


def _prefix(job: JobIdentity) -> str:
    return f"kd-{job.raw_id}-"


def _remove_older(base: Path, job: JobIdentity) -> None:
    """Remove what an attempt of this very job left when it was killed; the raw job id is no other job's."""
    for leftover in base.glob(f"{_prefix(job)}r*"):
        shutil.rmtree(leftover, ignore_errors=True)
