"""The lines of journal.jsonl as values. A line of another form, or of another folder's journal, is no line.

intent     a token and the jobs it stands for, written before sbatch; the token travels in the job's comment
submitted  the job ids that the executor gave; on Slurm the jobs are still held
settled    a token that no job was ever sent under, or whose jobs were cancelled
released   those ids may run
withdrawn  those ids were cancelled again (roll-back, kd-cancel, or replaced by a newer submission)
scheduler  the process that runs the local executor's job graph
"""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status.
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from kd.rundir.bounded_json import LARGEST, read_bounded
from kd.rundir.names import JobId, JobName, tags_of
from kd.rundir.process_identity import Process

ClusterName: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.-]*\Z", max_length=100)]
Token: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]+\Z", max_length=200)]


class _Line(Struct, frozen=True, kw_only=True, tag_field="event"):
    """What every line has: its Unix time, and the tag of the folder whose journal it was written to."""

    time: float
    folder: str = ""


class Intent(_Line, frozen=True, kw_only=True, tag="intent"):
    """What is about to be sent."""

    token: Token
    jobs: list[JobName]
    cluster: ClusterName = ""


class Submitted(_Line, frozen=True, kw_only=True, tag="submitted"):
    """What was sent; ``processes`` of this machine by their id."""

    token: Token
    executor: Literal["slurm", "local", "debug"]
    jobs: dict[JobName, JobId]
    processes: dict[JobId, Process | None] | None = None
    cluster: ClusterName = ""


class Settled(_Line, frozen=True, kw_only=True, tag="settled"):
    """A token under which nothing is left."""

    token: Token


class Released(_Line, frozen=True, kw_only=True, tag="released"):
    """Held jobs that may run."""

    ids: list[JobId]


class Withdrawn(_Line, frozen=True, kw_only=True, tag="withdrawn"):
    """Jobs that were cancelled, and why."""

    ids: list[JobId]
    why: str


class Scheduling(_Line, frozen=True, kw_only=True, tag="scheduler"):
    """The process that runs the job graph."""

    process: Process


Line: TypeAlias = Intent | Submitted | Settled | Released | Withdrawn | Scheduling
_DECODER = msgspec.json.Decoder(Line)


def read_lines(path: Path) -> list[Line]:
    """Return the whole lines that were written to this very journal; [] where there is none that can be read.

    Left out are a last line that a crash cut short (what it would have recorded was not acted on), lines that another
    folder's journal had (this one is a copy), and whatever has another form.
    """
    try:
        texts = read_bounded(path, LARGEST).split(b"\n")
    except (OSError, ValueError):
        return []
    own = tags_of(path.parent)
    found = []
    for text in texts:
        try:
            line = _DECODER.decode(text)
        except (ValueError, RecursionError):
            continue
        if (line.folder or _tag_of_token(line)) in own:
            found.append(line)
    return found


def _tag_of_token(line: Line) -> str:
    """Return the tag in a token: lines of older versions of kd have it nowhere else."""
    token = getattr(line, "token", "")
    return str(token).removeprefix("kd:").partition(":")[0]
