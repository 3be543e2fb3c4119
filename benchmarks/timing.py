"""Timing that survives a noisy machine: the ways are run in turn, again and again, and compared by their medians."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Run every way once per round; return the seconds of each. A first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_number in range(rounds + 1):
        for name, run in ways.items():
            start = clock()
            run()
            if round_number:
                seconds[name].append(clock() - start)
    return seconds


def table(seconds: Mapping[str, list[float]], base: str) -> str:
    """Return a Markdown table of medians in milliseconds, and of the ratio to ``base`` taken round by round."""
    lines = ["| way | median ms | ratio |", "|---|---|---|"]
    for name, values in seconds.items():
        ratio = statistics.median(value / other for value, other in zip(values, seconds[base], strict=True))
        lines.append(f"| {name} | {1000 * statistics.median(values):.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def machine() -> str:
    """Return the machine and Python in one line, to stand beside every figure."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{model}, Python {platform.python_version()}"
    import os

    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"
