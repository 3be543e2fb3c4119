"""How much memory this process may use: the machine's, or less where its control group has a limit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

CGROUPS = Path("/sys/fs/cgroup")


def usable_memory(groups: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Return bytes. A group's limit holds for all groups below it (Documentation/admin-guide/cgroup-v2.rst)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(groups, own)])


def _limits(groups: Path, own: Path) -> Iterator[int]:
    """Yield the limits of this process's groups, from its own to the root; of both versions of the hierarchy."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return  # no control groups here
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        folder, file = (groups, "memory.max") if not controllers else (groups / "memory", "memory.limit_in_bytes")
        inside = PurePosixPath(path.lstrip("/"))
        for group in (inside, *inside.parents):
            with suppress(OSError, ValueError):  # without a limit: no such file, or "max"
                yield int((folder / group / file).read_text())
