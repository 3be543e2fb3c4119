"""Fixtures of the launcher's tests: folders with awkward names, a disk that fills up, and stage folders."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kd.files import sha256_file, write_json
from kd.rundir.folders import JobKey, RunFolder, StageFolder
from tests.conftest import need
from tests.kd.conftest import make_spec

HOSTILE = "a b'c\"d $HOME `id` ; é 名\nline"


@pytest.fixture(params=["plain", HOSTILE], ids=["plain", "hostile"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder, once with a plain name and once with spaces, quotes, a newline and letters beyond ASCII."""
    path = tmp_path / request.param
    path.mkdir()
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    path = tmp_path / "small disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    need(mounted, "a file system of 1 MiB cannot be mounted here (needs root)")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


IDENTITY = ("format", "pipeline", "stage", "seed", "kind", "role", "fingerprint", "parents")
MakeStage = Callable[..., StageFolder]


@pytest.fixture
def make_stage(folder: Path) -> MakeStage:
    """A function that writes the stage folder of one job into a run folder; ``files`` makes it a finished one."""

    def make(
        stage: str = "teacher",
        *,
        parents: dict[str, str] | None = None,
        files: dict[str, bytes] | None = None,
        **spec: Any,
    ) -> StageFolder:
        made = RunFolder(folder / "run").stage(JobKey(stage, 1))
        lineage = {
            name: {"stage": parent, "seed": 1, "fingerprint": f"of {parent}"}
            for name, parent in (parents or {}).items()
        }
        data = {**make_spec(stage)["data"], **(spec.pop("data", None) or {})}
        written = {
            **make_spec(stage),
            "data": data,
            "seed": 1,
            "fingerprint": f"of {stage}",
            "parents": lineage,
            **spec,
        }
        write_json(made.spec, written)
        if files is not None:
            for name, content in files.items():
                (made.path / name).parent.mkdir(exist_ok=True)
                (made.path / name).write_bytes(content)
            digests = {name: sha256_file(made.path / name) for name in files}
            identity = {name: written[name] for name in IDENTITY}
            write_json(made.result, {**identity, "files": digests, "job": {}, "finished": 1.0})
        return made

    return make
