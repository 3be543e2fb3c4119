"""A real Slurm for tests: starts, asks, breaks and stops the testbed of cluster_env/testbed. No torch.

Tests use a state folder and ports of their own, so a testbed that a person has started on the same machine
is left alone.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeAlias

from filelock import FileLock

SCRIPTS = Path(__file__).resolve().parents[1] / "cluster_env" / "testbed"
NODES = ("cpu1", "gpu1", "gpu2", "gpu3")
PORTS = 12  # six for a cluster, and the variant "clusters" has two
_LMOD = Path("/usr/share/lmod/lmod/init/bash")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "sbatch", "sacctmgr")
_OTHER_SLURM = ("SLURM", "SBATCH_", "SALLOC_", "SINFO_", "SQUEUE_", "SACCT_", "KD_TESTBED")

Completed: TypeAlias = subprocess.CompletedProcess[str]


def available() -> bool:
    """Whether the Debian packages of cluster_env/testbed/install.sh are on this machine."""
    return _LMOD.exists() and all(shutil.which(program, path=_path()) for program in _PROGRAMS)


def free_ports() -> int:
    """The first of ``PORTS`` free ports in a row, below the kernel's own range (32768 and up)."""
    for first in random.sample(range(20000, 32000, 10), 100):
        if all(_is_free(port) for port in range(first, first + PORTS)):
            return first
    raise RuntimeError("no free ports between 20000 and 32000")


@dataclass(frozen=True, kw_only=True, slots=True)
class Testbed:
    """A running testbed. Commands run through `run` talk to it whatever Slurm settings this process has."""

    __test__: ClassVar[bool] = False  # the name begins with Test, but there is nothing for pytest to collect

    directory: Path
    """State of the daemons, with logs in ``log``. Deleted by a stop except for logs and configuration."""
    settings: Mapping[str, str]
    """The KD_TESTBED… variables it was started with."""

    @property
    def environment(self) -> dict[str, str]:
        """What a Slurm command or library needs in its environment to use this testbed."""
        needed = {"SLURM_CONF": str(self.directory / "etc" / "slurm.conf")}
        programs = self.directory / "bin"  # the sbatch of a variant
        return {**needed, "PATH": f"{programs}:{_path()}"} if programs.exists() else needed

    @property
    def clusters(self) -> tuple[Testbed, ...]:
        """This cluster and, in the variant "clusters", the second one, whose name is "other"."""
        second = self.directory / "second"
        return (self, replace(self, directory=second)) if second.exists() else (self,)

    def run(self, *argv: str, check: bool = True, timeout: float = 60, text: str = "") -> Completed:
        """Run a command in the testbed's environment, with ``text`` as its standard input.

        Raises RuntimeError, which quotes its standard error, when it fails and ``check`` is set.
        """
        environment = {**_clean_environment(), **self.environment}
        return _run(argv, environment, check=check, timeout=timeout, text=text)

    def submit(self, body: str, *options: str, output: Path | None = None) -> int:
        """Submit a bash script with these sbatch options and return its job id.

        What the script prints goes to the file ``output``, or nowhere.
        """
        argv = ["sbatch", "--parsable", f"--output={output or '/dev/null'}", *options]
        return int(self.run(*argv, text=f"#!/bin/bash\n{body}\n").stdout)

    def state(self, job: int) -> str:
        """The job's state as the controller has it now (PENDING, RUNNING, COMPLETING …)."""
        return self.job(job)["JobState"]

    def job(self, job: int) -> dict[str, str]:
        """The fields of ``scontrol show job``."""
        return _fields(self.run("scontrol", "show", "job", "--oneliner", str(job)).stdout)

    def node(self, node: str) -> dict[str, str]:
        """The fields of ``scontrol show node``."""
        return _fields(self.run("scontrol", "show", "node", "--oneliner", node).stdout)

    def sacct_states(self, jobs: Iterable[int]) -> dict[int, str]:
        """The latest state of each job that accounting knows, without the "by user" of a cancelled one."""
        listed = ",".join(str(job) for job in jobs)
        rows = self.run("sacct", "-nXP", "--format=JobIDRaw,State", "-j", listed).stdout.splitlines()
        return {int(job): state.split()[0] for job, state in (row.split("|") for row in rows)}

    def wait_for(self, job: int, *states: str, timeout: float = 90) -> None:
        """Wait until the job is in one of these states (default: COMPLETED)."""
        wanted = states or ("COMPLETED",)
        wait_until(lambda: self.state(job) in wanted, f"job {job} to be {' or '.join(wanted)}", timeout)

    def wait_idle(self, *nodes: str, timeout: float = 90) -> None:
        """Wait until these nodes (default: all) are up and run no job."""

        def idle() -> bool:
            return all(self.node(node)["State"] == "IDLE" for node in nodes or NODES)

        wait_until(idle, f"{' '.join(nodes or NODES)} to be idle", timeout)

    def clear(self) -> None:
        """Cancel every job, bring back nodes that a test or a failed epilog has left out of service, wait for idle.

        Raises TimeoutError with what Slurm says of jobs and nodes when they are not idle within five minutes.
        """
        for cluster in self.clusters:
            cluster._clear()

    def _clear(self) -> None:
        jobs = self.run("squeue", "--noheader", "--format=%A").stdout.split()
        if jobs:
            self.run("scancel", *sorted(set(jobs)), check=False)  # one may end meanwhile
        for node in NODES:
            if "DRAIN" in self.node(node)["State"] or "DOWN" in self.node(node)["State"]:
                self.set_node(node, "resume")
        try:
            self.wait_idle(timeout=300)
        except TimeoutError as error:
            said = [self.run(*argv).stdout for argv in (("squeue", "--long"), ("sinfo", "-N", "-o", "%N %T %E"))]
            raise TimeoutError("\n".join([str(error), *said])) from None

    def processes(self) -> dict[int, str]:
        """Process id and name of what was started with this testbed's slurm.conf: daemons, jobs, clients."""
        mark = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "comm").read_text().strip()
            except OSError:
                continue  # ended meanwhile, or another user's
        return found

    def set_node(self, node: str, state: str, reason: str = "test") -> None:
        """Change a node's state by hand: down, drain, resume."""
        self.run("scontrol", "update", f"NodeName={node}", f"State={state}", f"Reason={reason}")

    def kill_slurmd(self, node: str) -> None:
        """Kill a node's daemon outright. Its jobs run on; after 30 s or more the node counts as lost."""
        daemon = self._process(f"slurmd-{node}")
        os.kill(daemon, signal.SIGKILL)
        self._wait_gone(daemon)

    def start_slurmd(self, node: str) -> None:
        """Start a node's daemon again and wait until the controller has heard of it."""
        self.run("slurmd", "-N", node)
        wait_until(lambda: _responds(self.node(node)["State"]), f"{node} to respond")

    def stop_slurmctld(self) -> None:
        """End the controller in good order. Clients then fail after some seconds; jobs and sacct go on."""
        controller = self._process("slurmctld")
        os.kill(controller, signal.SIGTERM)
        self._wait_gone(controller)

    def start_slurmctld(self) -> None:
        """Start the controller from its saved state, and wait until it answers and has heard of the nodes."""

        def answers() -> bool:
            return " is UP" in self.run("scontrol", "ping", check=False).stdout

        def knows_nodes() -> bool:
            return all(_responds(self.node(node)["State"]) for node in NODES)

        self.run("slurmctld")
        wait_until(answers, "the controller to answer")
        wait_until(knows_nodes, "the nodes to respond")

    def restart_slurmctld(self) -> None:
        """Stop the controller and start it again. All nodes' daemons must run."""
        self.stop_slurmctld()
        self.start_slurmctld()

    def up(self) -> None:
        """Start whatever is not running; does nothing when all is."""
        _run([str(SCRIPTS / "up.sh")], {**_clean_environment(), **self.settings}, timeout=300)

    def stop(self) -> None:
        """Kill every daemon and job. Does nothing when none runs."""
        _run([str(SCRIPTS / "down.sh")], {**_clean_environment(), **self.settings}, timeout=120)

    def _process(self, daemon: str) -> int:
        process = int((self.directory / f"{daemon}.pid").read_text())
        assert process in self.processes(), f"{daemon} is not running"
        return process

    def _wait_gone(self, process: int) -> None:
        wait_until(lambda: process not in self.processes(), f"process {process} to end")


def wrapped(variant: str) -> dict[str, str]:
    """The environment of a shell with a variant's sbatch (banner, number), for any running testbed."""
    return {"PATH": f"{SCRIPTS / 'variants' / variant / 'bin'}:{_path()}"}


def start(directory: Path, port: int, *, variant: str = "", extra: str = "") -> Testbed:
    """Start a testbed and wait until its nodes are idle. Does nothing more where this very one is running.

    ``directory`` is the state folder (its path 70 characters at most), ``port`` the first of ``PORTS`` free
    ones, ``variant`` names folders of cluster_env/testbed/variants (``"lua,short"``), ``extra`` are lines to
    append to slurm.conf. Raises RuntimeError with the script's complaint; then nothing is left running.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "KD_TESTBED": str(directory),
        "KD_TESTBED_PORT": str(port),
        "KD_TESTBED_VARIANT": variant,
    }
    if extra:
        lines = directory.with_name(f"{directory.name}-extra.conf")
        lines.write_text(f"{extra}\n")
        settings["KD_TESTBED_EXTRA"] = str(lines)
    testbed = Testbed(directory=directory, settings=settings)
    testbed.up()
    return testbed


# Run beside a test session: stops the testbed when every process that used it is gone without saying so,
# as after a kill.
_GUARD = """
while sleep 2; do
    users=$(ls "$1") || exit 0
    [ -n "$users" ] || exit 0
    for user in $users; do [ ! -e "/proc/$user" ] || continue 2; done
    exec "$2"
done
"""


@contextmanager
def shared(folder: Path, variant: str = "") -> Iterator[Testbed]:
    """The one testbed of a test session: its first process to ask starts it, the last to leave stops it.

    ``folder`` is the same for all pytest-xdist workers of a session, and for no other session.
    """
    users = folder / "users"
    users.mkdir(parents=True, exist_ok=True)
    user = users / str(os.getpid())
    lock = FileLock(folder / "lock")
    with lock:
        first = not any(users.iterdir())
        port_file = folder / "port"
        if first:
            port_file.write_text(str(free_ports()))
        user.touch()
        try:
            testbed = start(folder / "slurm", int(port_file.read_text()), variant=variant)
        except BaseException:
            user.unlink()
            raise
        if first:
            _guard(users, testbed)
    try:
        yield testbed
    finally:
        with lock:
            user.unlink()
            if not any(users.iterdir()):
                testbed.stop()


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 90) -> None:
    """Ask until the condition holds; raises TimeoutError, which says for what, after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {what}")
        time.sleep(0.1)


def _guard(users: Path, testbed: Testbed) -> None:
    argv = ["setsid", "--fork", "sh", "-c", _GUARD, "sh", str(users), str(SCRIPTS / "down.sh")]
    nowhere = subprocess.DEVNULL  # or whoever reads pytest's output through a pipe would wait for the guard
    environment = {**_clean_environment(), **testbed.settings}
    subprocess.run(argv, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere, check=True)


def _run(
    argv: Iterable[str], environment: Mapping[str, str], *, check: bool = True, timeout: float, text: str = ""
) -> Completed:
    command = list(argv)
    done = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr.strip()}")
    return done


def _clean_environment() -> dict[str, str]:
    """The environment of this process without settings for another Slurm, and with the daemons on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHER_SLURM)}
    return {**kept, "PATH": _path()}


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _is_free(port: int) -> bool:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError:
            return False
    return True


def _fields(line: str) -> dict[str, str]:
    """``NAME=value NAME=value …`` as a dict; a value with spaces loses all but its first word."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def _responds(state: str) -> bool:
    """Whether the controller is in touch with a node: MIXED+DRAIN is a yes, UNKNOWN and IDLE* are not."""
    return not any(sign in state for sign in ("UNKNOWN", "NOT_RESPONDING", "*"))
