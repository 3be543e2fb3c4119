"""A bar on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from kd.stages.training.progress_bar import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def at(epoch: int, step: int) -> Any:
    return SimpleNamespace(epoch=epoch, step=step)


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Put a terminal in the place of stdout; within the test, since pytest captures anew between fixture and test."""
    found = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", found)
    monkeypatch.setattr(sys, "__stdout__", found)
    return found


def test_the_bar_counts_the_steps_of_all_epochs_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    bar = ProgressBar("distilled/seed-1", epochs=3, steps=50)
    bar.show(at(1, 10))
    bar.hide()
    shown = terminal.getvalue()
    assert "distilled/seed-1 epoch 2/3" in shown
    assert "60/150" in shown
    assert shown.endswith("\x1b[2K")  # the line is cleared for what is printed next


def test_a_log_that_copies_what_is_printed_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    log = Terminal()
    monkeypatch.setattr(sys, "stdout", log)
    bar = ProgressBar("a", epochs=1, steps=2)
    bar.show(at(0, 1))
    bar.hide()
    assert (log.getvalue(), "1/2" in terminal.getvalue()) == ("", True)


def test_a_pipe_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    bar = ProgressBar("a", epochs=1, steps=2)
    bar.show(at(0, 1))
    bar.hide()
    assert (pipe.getvalue(), terminal.getvalue()) == ("", "")
