"""Stages as processes of this machine, forked by one that has imported torch already: ``slurm.job.fork_server``.

Each run has its own such server, which imports the run's frozen code. Stages share nothing once they run: one may
crash, and they outlive both the server and this process.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import msgspec

from kd.errors import RunError
from kd.rundir.folders import RunFolder, StageFolder
from kd.rundir.process_identity import Process, describe
from slurm.job.fork_server import READY, Order
from slurm.submission.local_executor import LocalExecutor
from slurm.submission.shell_environment import clean_environment

_END_SECONDS = 5.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class LocalProcess:
    """A stage that runs in a process of this machine. ``process`` is None where it ended at once."""

    pid: int
    process: Process | None

    def running(self) -> bool:
        """Whether it still runs."""
        return self.process is not None and self.process.alive

    def signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.process is not None:
            self.process.signal(number)


@dataclass(slots=True)
class _Server:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    answers: BufferedReader


class WarmProcesses:
    """Starts the stages of one run. The server starts with the first of them, and anew when it was killed."""

    def __init__(self, run: RunFolder, kinds: Sequence[str], threads: int) -> None:
        self._run, self._kinds, self._threads = run, tuple(kinds), threads
        self._server: _Server | None = None

    def start(self, folder: StageFolder, logs: Path, gpus: Sequence[str]) -> LocalProcess:
        """Start a stage with these GPUs of the machine. Raises RunError when no process can be started."""
        logs.mkdir(parents=True, exist_ok=True)
        if self._server is not None and self._server.process.poll() is not None:
            self.close()
        server = self._server or self._launch()
        order = Order(folder=str(folder.path), logs=str(logs), executor=LocalExecutor.name, gpus=tuple(gpus))
        with _undisturbed():  # a process that was started is always known
            pid = int(self._ask(server, msgspec.json.encode(order) + b"\n"))
            return LocalProcess(pid, describe(pid))

    def close(self) -> None:
        """Let the server go; it ends with the last of its stages. Waits for it where none is left."""
        if self._server is None:
            return
        self._server.answers.close()
        self._server.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self._server.process.wait(_END_SECONDS)
        self._server = None

    @property
    def _log(self) -> Path:
        return self._run.submitted("fork-server.log")

    def _launch(self) -> _Server:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [str(self._run.code), os.environ.get("PYTHONPATH")]))  # frozen code first
        settings = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": str(self._threads)}
        command = [sys.executable, "-u", "-m", "slurm.job.fork_server", str(theirs.fileno()), *self._kinds]
        with theirs, open(self._log, "ab") as log, clean_environment(settings), _deaf_to_interrupts():
            process = subprocess.Popen(
                command,
                cwd=self._log.parent,  # where no checkout shadows the frozen code
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
            )
        self._server = server = _Server(process, ours, ours.makefile("rb"))
        if (greeting := self._ask(server)) != READY:
            raise RunError(f"{self._log}: unexpected answer {greeting!r} of the process that starts stages")
        return server

    def _ask(self, server: _Server, order: bytes = b"") -> bytes:
        """Return the server's next line, after it was sent an order."""
        try:
            server.channel.sendall(order)
            if line := server.answers.readline():
                return line
        except OSError:
            pass  # it has ended, as below
        code = server.process.wait()
        self.close()
        raise RunError(f"the process that starts stages ended with code {code}; its log: {self._log}")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold back signals that end this process until the block is left."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let a child about to start ignore Ctrl-C: the terminal sends it to everybody; the scheduler stops in order."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
