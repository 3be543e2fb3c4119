"""The log of one attempt at a stage: a copy, kept in the stage folder, of everything the job prints.

It is opened before anything else happens, so that a job that dies early leaves something to read. A log that
cannot be written (full disk) never harms the training.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from kd.rundir.folders import StageFolder


@contextmanager
def attempt_log(folder: StageFolder, announcement: str) -> Iterator[int]:
    """Copy stdout and stderr to the log of the next attempt for the time of the block; yield its number, from 1.

    The number is taken atomically: two processes never share a log. Crashes of the interpreter land there too.
    """
    folder.log.mkdir(parents=True, exist_ok=True)
    number, log = _open_next(folder)
    outer = sys.stdout, sys.stderr
    crashes_elsewhere = faulthandler.is_enabled()
    sys.stdout, sys.stderr = _Tee(sys.stdout, log), _Tee(sys.stderr, log)
    faulthandler.enable(file=log)
    try:
        print(f"attempt {number}: {announcement}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}")
        yield number
    finally:
        sys.stdout, sys.stderr = outer
        faulthandler.disable()
        if crashes_elsewhere and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
        os.close(log)


def _open_next(folder: StageFolder) -> tuple[int, int]:
    """Create the first log that does not exist yet; return its number and its file descriptor."""
    number = 1
    while True:
        try:
            return number, os.open(
                folder.attempt_log(number), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666
            )
        except FileExistsError:
            number += 1


class _Tee(io.TextIOBase):
    """A text stream that writes to the console and to the log (a file descriptor), unbuffered."""

    def __init__(self, console: TextIO, log: int) -> None:
        self._console, self._log = console, log
        if isinstance(console, io.TextIOWrapper):
            console.reconfigure(errors="backslashreplace")  # a POSIX locale must not stop a job over a letter

    def write(self, text: str) -> int:
        with suppress(OSError):  # a full disk must not end the training, nor a closed terminal
            os.write(self._log, text.encode("utf-8", "backslashreplace"))
        with suppress(OSError):
            self._console.write(text)
            self._console.flush()
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is flushed."""

    def fileno(self) -> int:
        return self._console.fileno()

    def isatty(self) -> bool:
        return self._console.isatty()
