"""Every error a person can cause, and how it ends.

    Exception
    └── UserError            one line on stderr, exit code 2, nothing written
        ├── SpecError        the job file or a --set is wrong; carries one line per fault
        ├── ClusterError     the cluster profile, Slurm itself or a limit of the site
        ├── DataError        a data set is missing, damaged or does not fit the job
        ├── CheckpointError  a checkpoint cannot be used to continue or to teach
        ├── RunError         the run folder is missing, busy or damaged
        └── MemoryFull       the machine's or a GPU's memory does not hold what the job asks for

Anything else is a bug in kd and keeps its traceback.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from io import TextIOWrapper
from typing import Any

MOST_SHOWN_NAMES = 12
_FULL = "the disk is full or your quota is used up; make room and run this again"
_FORBIDDEN = "permission denied: it is another user's, or write-protected"
_OF_THE_FILE_SYSTEM = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.ENAMETOOLONG: "the name is longer than the file system allows",
    errno.ELOOP: "links that lead in a circle, or a link where kd follows none",
    errno.EISDIR: "a folder lies where a file should",
    errno.ENOTDIR: "a file lies where a folder should",
    errno.EEXIST: "something else lies where a folder should",
    errno.EROFS: "the file system is read-only: choose another place",
}
MOST_SHOWN_CHARACTERS = 60


class UserError(Exception):
    """A mistake a person can mend. ``str(error)`` is what to print; it names the fix."""


class SpecError(UserError):
    """The job file is wrong. ``lines`` holds one ``file:line:column: message`` per fault."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


class ClusterError(UserError):
    """The cluster profile is wrong, Slurm refuses, or the request exceeds a limit of the site."""


class DataError(UserError):
    """A data set is missing, damaged or does not fit the job."""


class CheckpointError(UserError):
    """A checkpoint cannot be used to continue or to teach."""


class RunError(UserError):
    """A run folder is missing, busy or damaged."""


class MemoryFull(UserError):
    """The memory of the machine or of a GPU is full; names what took it and what to lower."""


def nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that ``name`` is most likely a misspelling of, or None."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return near[0] if near else None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return `` (did you mean 'x'?)``, or the known names when nothing is near, to end an error line."""
    near = nearest(name, known)
    if near:
        return f" (did you mean '{near}'?)"
    names = sorted(known)
    if len(names) > MOST_SHOWN_NAMES:
        names = [*names[:MOST_SHOWN_NAMES], f"and {len(names) - MOST_SHOWN_NAMES} more"]
    return f" (known: {', '.join(names)})" if names else ""


def shown(value: Any) -> str:
    """Return a value as an error line shows it: on one line, printable, not too long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= MOST_SHOWN_CHARACTERS else f"{text[: MOST_SHOWN_CHARACTERS - 3]}..."


def printable(text: str) -> str:
    """Return text with line ends, control and other unprintable characters written as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def run_command(main: Callable[[], int]) -> int:
    """Run a command line's ``main`` and return its exit code.

    A UserError becomes its lines on stderr and exit code 2, as do a full disk and a file that is another user's. Ctrl-C
    gives 130 and a line. What a terminal cannot show is printed as an escape.
    """
    _prepare_process()
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        # a name inside an archive, say, may hold escapes that drive a terminal
        print("\n".join(map(printable, str(error).split("\n"))), file=sys.stderr)
        return 2
    except BrokenPipeError:  # `kd-submit --dry-run | head` is no mistake
        drop_output()
        return 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        ours = error.errno in (errno.ENOSPC, errno.EDQUOT) or error.filename  # else it is not about a file: a bug
        if error.errno not in _OF_THE_FILE_SYSTEM or not ours:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{where}{_OF_THE_FILE_SYSTEM[error.errno]}", file=sys.stderr)
        return 2
    return code


def _prepare_process() -> None:
    """Let printing never fail on a character, and the process end quickly."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Python's last act is a search for garbage in all it holds: a fifth of a short command. The system frees it anyway.
    atexit.register(gc.freeze)


def drop_output() -> None:
    """Let what is printed from now on go nowhere: its reader (``head -3``) has gone."""
    # What is still buffered would fail once more in the flush at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
