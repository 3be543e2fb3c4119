"""Signals and requeue: what is asked by whom, and what Slurm is told."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from kd.errors import ClusterError
from slurm.job.preemption import StopSignals, requeue_job

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGCONT)


def send(*numbers: signal.Signals) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_user_signal_on_slurm_asks_for_a_requeue(number: signal.Signals) -> None:
    with StopSignals(on_slurm=True) as stop:
        assert not stop.stop_requested()
        send(number)
        assert stop.stop_requested()
        assert stop.requeue
        assert stop.describe() == number.name


@pytest.mark.parametrize(
    "numbers", [(signal.SIGTERM,), (signal.SIGTERM, signal.SIGUSR2), (signal.SIGUSR2, signal.SIGTERM)]
)
def test_a_terminated_job_is_never_requeued(numbers: tuple[signal.Signals, ...]) -> None:
    with StopSignals(on_slurm=True) as stop:
        send(*numbers)
        assert stop.stop_requested()
        assert stop.terminated
        assert not stop.requeue


def test_a_term_that_no_kill_followed_is_forgotten() -> None:
    with StopSignals(on_slurm=True) as stop:
        send(signal.SIGTERM)
        stop.outlive(0.01)
        assert not stop.stop_requested()
        send(signal.SIGUSR2)
        assert stop.requeue


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT])
def test_elsewhere_every_signal_ends_the_job_softly(number: signal.Signals) -> None:
    with StopSignals(on_slurm=False) as stop:
        send(number)
        assert stop.stop_requested()
        assert stop.asked_by(number)
        assert not stop.requeue
        assert not stop.terminated


def test_a_second_interrupt_ends_at_once() -> None:
    with StopSignals(on_slurm=False):
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


@pytest.mark.parametrize("on_slurm", [True, False])
def test_the_handlers_of_others_do_not_run_and_come_back(on_slurm: bool) -> None:
    def others(number: int, frame: object) -> None:
        raise AssertionError("submitit's handler ran")

    before = {number: signal.signal(number, others) for number in SIGNALS}
    try:
        with StopSignals(on_slurm=on_slurm):
            send(signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGCONT)
        assert all(signal.getsignal(number) is others for number in SIGNALS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_waiting_for_the_kill_ends_with_term_or_in_time() -> None:
    with StopSignals(on_slurm=True) as stop:
        assert not stop.await_kill(0.01)
        send(signal.SIGTERM)
        begin = time.monotonic()
        assert stop.await_kill(60)
        assert time.monotonic() - begin < 60


@pytest.fixture
def scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stand-in ``scontrol``: notes its arguments in ``calls`` and does what ``answer`` says."""
    program = folder / "scontrol"
    program.write_text('#!/bin/sh\nhere=$(dirname -- "$0")\nprintf "%s\\n" "$*" >> "$here/calls"\n. "$here/answer"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_the_job_is_requeued_by_its_name(scontrol: Path) -> None:
    (scontrol / "answer").write_text("exit 0\n")
    requeue_job("12_3")
    assert (scontrol / "calls").read_text() == "requeue 12_3\n"


def test_a_refusal_is_told_in_words_and_not_repeated(scontrol: Path) -> None:
    (scontrol / "answer").write_text("echo 'Requested operation is presently disabled for job 12' >&2; exit 1\n")
    with pytest.raises(
        ClusterError, match=r"job 12 could not be requeued \(Requested .* disabled .*run kd-submit again"
    ):
        requeue_job("12", pauses=(0.0, 0.0))
    assert (scontrol / "calls").read_text() == "requeue 12\n"


def test_a_controller_that_is_away_is_asked_again(scontrol: Path) -> None:
    (scontrol / "answer").write_text(
        '[ "$(wc -l < "$here/calls")" -ge 3 ] && exit 0\necho "Unable to contact slurm controller" >&2\nexit 1\n'
    )
    requeue_job("12", pauses=(0.0, 0.0))
    assert (scontrol / "calls").read_text() == "requeue 12\n" * 3


def test_a_controller_that_stays_away_is_told(scontrol: Path) -> None:
    (scontrol / "answer").write_text("exit 3\n")
    with pytest.raises(ClusterError, match="exit code 3"):
        requeue_job("12", pauses=(0.0,))
    assert (scontrol / "calls").read_text() == "requeue 12\n" * 2


def test_a_container_without_scontrol_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(ClusterError, match="scontrol is not on PATH"):
        requeue_job("12")
