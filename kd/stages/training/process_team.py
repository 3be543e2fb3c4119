"""The processes of one stage, one per GPU: the first starts the others, sends them their orders, and ends them.

However the first process was started (by srun, kd-submit's local executor, kd-train, a notebook), the others are its
children on the same machine: they run ``kd.follower``. Signals of the scheduler do not reach them; the first process
says when to stop. They end when it does, whatever ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch
from torch.distributed import DistBackendError, Store  # type: ignore[attr-defined]

from kd.errors import RunError
from kd.stages.context import Member, Orders, StageContext
from kd.stages.training.follower_watch import FollowerWatch, give_up
from kd.train.distributed import ALONE, Processes, find_store, joined, open_store

ARRIVED = "arrived"  # the store's count of followers that are ready to join
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
_POLL_SECONDS = 0.05
_END_SECONDS = 10.0

Followers = Sequence["subprocess.Popen[str]"]


@contextmanager
def process_team(context: StageContext, gpus: int) -> Iterator[Processes]:
    """Yield this stage's processes, for ``gpus`` GPUs; after the block only the first goes on.

    Raises RunError when one of the others ends before its time.
    """
    if context.member is not None:
        member = context.member
        store = find_store(member.port)
        store.add(ARRIVED, 1)
        with joined(store, rank=member.rank, count=member.count) as processes:
            yield processes
        return
    count = process_count(gpus, os.environ, torch.cuda.device_count())
    if count == 1:
        yield ALONE
        return
    store = open_store()
    followers = [_start(context, Member(rank=rank, count=count, port=store.port)) for rank in range(1, count)]
    watch = FollowerWatch(followers, give_up(context))
    try:
        _await(followers, store)
        watch.start()
        try:
            with joined(store, rank=0, count=count) as processes:
                yield processes
        finally:
            watch.stop()
    except RuntimeError as error:
        if _lost_another(error):
            if watch.lost:
                raise RunError(watch.lost) from error
            _raise_lost(followers, _END_SECONDS, error)
        raise
    finally:
        _end(followers)


def _lost_another(error: RuntimeError) -> bool:
    """Whether an error of torch means that another process is gone: only NCCL's has a type of its own."""
    return isinstance(error, DistBackendError) or any(word in str(error) for word in ("Connection", "Timed out"))


def process_count(gpus: int, environment: Mapping[str, str], available: int) -> int:
    """Return how many processes to use: KD_PROCESSES, else one per GPU asked for, as far as there are GPUs."""
    value = environment.get("KD_PROCESSES", "")
    if value.isdecimal() and int(value) > 0:
        return int(value)
    return max(1, min(gpus, available))


def _start(context: StageContext, member: Member) -> subprocess.Popen[str]:
    """Start a follower, deaf from its first instruction on to the signals that ask the first process to stop."""
    source = str(Path(__file__).resolve().parents[3])  # the very code that runs here, wherever that is
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        follower = subprocess.Popen(
            [sys.executable, "-u", "-m", "kd.follower"],
            stdin=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert follower.stdin is not None
    orders = Orders(
        folder=str(context.folder.path),
        work=str(context.work),
        parents={name: str(path) for name, path in context.parents.items()},
        data_root=str(context.data_root) if context.data_root else None,
        member=member,
    )
    follower.stdin.write(msgspec.json.encode(orders).decode() + "\n")
    follower.stdin.flush()
    return follower


def _await(followers: Followers, store: Store) -> None:
    """Wait until all followers are ready to join. Raises RunError when one ends instead."""
    while store.add(ARRIVED, 0) < len(followers):
        _raise_lost(followers, 0, None)
        time.sleep(_POLL_SECONDS)


def _raise_lost(followers: Followers, seconds: float, cause: Exception | None) -> None:
    """Raise RunError when a follower has ended, or does so within some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        for rank, follower in enumerate(followers, start=1):
            code = follower.poll()
            if code:
                count = len(followers) + 1
                raise RunError(
                    f"process {rank + 1} of {count} ended with code {code}; its output is in the job's log"
                ) from cause
        if time.monotonic() >= deadline:
            return
        time.sleep(_POLL_SECONDS)


def _end(followers: Followers) -> None:
    """Let the followers go: they end when their standard input does."""
    for follower in followers:
        assert follower.stdin is not None
        follower.stdin.close()
    for follower in followers:
        try:
            follower.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
