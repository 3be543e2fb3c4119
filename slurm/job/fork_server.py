"""Starts the stages of one run on this machine: it has imported what they need, and forks a process for each.

``slurm.submission.warm_processes`` starts it with the run's frozen code and sends it an order a line. It computes
nothing itself: of a process with a pool of threads (OpenMP) or a CUDA context, a fork would be broken.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

import msgspec

READY = b"ready\n"
# What torch and the stages import when they first need it. (Whatever is missing here is found by -X importtime.)
_LATER = ("torch._dynamo", "safetensors.torch")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One stage to start: its folder, that of its raw log, the GPUs it may see."""

    folder: str
    logs: str
    executor: str
    gpus: tuple[str, ...]


def raw_log(logs: Path, pid: int) -> Path:
    """Return the file that a process writes its output to, by the name that submitit gives it."""
    return logs / f"{pid}_0_log.out"


def main(arguments: Sequence[str]) -> None:
    """Obey the orders that arrive at the socket with the given number; the other arguments are the kinds of stages.

    Answers each order with a process id. Lives as long as its children, whatever becomes of whoever gives the orders.
    """
    channel = socket.socket(fileno=int(arguments[0]))
    _preload(arguments[1:])
    signal.signal(signal.SIGCHLD, _bury)
    with suppress(OSError), channel.makefile("rb") as orders:  # whoever gives them may be killed at any time
        channel.sendall(READY)
        for line in orders:
            order = msgspec.json.decode(line, type=Order)
            pid = os.fork()
            if pid == 0:
                orders.close()
                channel.close()
                _run(order)
            channel.sendall(b"%d\n" % pid)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    os._exit(0)  # tearing the interpreter down takes as long as loading it


def _preload(kinds: Sequence[str]) -> None:
    """Import what stages of these kinds need. A module that cannot be loaded is reported by the stage that needs it."""
    from kd.run import stage_module

    import_module("slurm.job.payload")
    for kind in kinds:
        with suppress(ImportError):
            stage_module(kind)
    for name in _LATER:
        if "torch" in sys.modules:
            with suppress(ImportError):
                import_module(name)
    gc.collect()
    gc.freeze()  # collections in the children need not touch, and so copy, the pages of what is here


def _own_randomness() -> None:
    """Give the generators of this process another state than its siblings', as a fresh start would; Python's has one.

    Every stage seeds what decides its result.
    """
    if torch := sys.modules.get("torch"):
        torch.default_generator.seed()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()


def _bury(number: int, frame: FrameType | None) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _run(order: Order) -> None:
    """Be the process of a stage, in the child of a fork; never returns.

    Ends without tearing the interpreter down: all that counts is on the disk.
    """
    code = 1
    try:
        os.chdir(order.logs)  # by this kd-cancel knows it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(order.gpus)
        _own_randomness()
        _write_to(raw_log(Path(order.logs), os.getpid()))
        from slurm.job.payload import StageJob

        StageJob(Path(order.folder), order.executor)()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _write_to(log: Path) -> None:
    """Send standard output and errors to a file, those of libraries written in C as well."""
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number in (1, 2):
        os.dup2(opened, number)
    os.close(opened)


if __name__ == "__main__":
    main(sys.argv[1:])
