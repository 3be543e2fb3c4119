"""Small disks (tmpfs) that a test fills up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import need


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of its own, mounted at a folder."""

    path: Path

    def resize(self, size: int) -> None:
        """Give the disk another size, in bytes."""
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.path)], check=True)

    def fill_up(self, room: int = 0) -> None:
        """Leave so many bytes free, rounded up to whole pages."""
        status = os.statvfs(self.path)
        self.resize((status.f_blocks - status.f_bfree) * status.f_frsize + room)


@contextmanager
def disk(path: Path, size: int) -> Iterator[Disk]:
    """Mount a disk of so many bytes at ``path``; afterwards its files lie at the same path, on the usual disk."""
    path.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    need(mounted, "a file system cannot be mounted here (needs root)")
    try:
        yield Disk(path)
    finally:
        aside = path.with_name(f"{path.name}.aside")
        shutil.copytree(path, aside, symlinks=True)
        subprocess.run(["umount", "--lazy", str(path)], check=True)
        path.rmdir()
        aside.rename(path)
