"""Jobs in a container: how the engine is called, seen by a stand-in that records its call and runs the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slurm.cluster.profile import Container
from slurm.submission.container import container_lines, python_inside

IMAGE = Container(image="/images/torch 2.sif", binds=["/datasets"])


def run(folder: Path, engine: str | None, *, with_gpu: bool = True) -> subprocess.CompletedProcess[str]:
    """Run what a job script does, where the engine is a stand-in."""
    programs = folder / "bin"
    programs.mkdir()
    if engine:
        stand_in = programs / engine
        stand_in.write_text(
            f'#!/bin/bash\nprintf "%s\\n" "${{0##*/}}" "$@" > {folder}/call\n'
            f'while [ "$1" != python ]; do shift; done\nshift\nexec {sys.executable} "$@"\n'
        )
        stand_in.chmod(0o755)
    scratch = folder / "scratch"
    scratch.mkdir()
    lines = container_lines(IMAGE, Path("/results"), ["/data/cifar10"], ["$NOWHERE", "$TMPDIR"])
    command = python_inside(IMAGE, with_gpu=with_gpu) + " -c 'print(42)'"
    return subprocess.run(
        ["/bin/bash", "-c", "\n".join(["set -e", *lines, command])],
        env={"PATH": str(programs), "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("engine", ["apptainer", "singularity"])
def test_the_job_runs_in_the_image_and_sees_results_data_and_scratch(tmp_path: Path, engine: str) -> None:
    answer = run(tmp_path, engine)
    assert answer.stdout == "42\n", answer.stderr
    binds = f"/results,/data/cifar10,/datasets,{tmp_path}/scratch"
    expected = [engine, "exec", "--nv", "--bind", binds, "/images/torch 2.sif", "python", "-c", "print(42)"]
    assert (tmp_path / "call").read_text().splitlines() == expected


def test_a_job_without_a_gpu_needs_no_driver(tmp_path: Path) -> None:
    assert run(tmp_path, "apptainer", with_gpu=False).returncode == 0
    assert "--nv" not in (tmp_path / "call").read_text()


def test_a_node_without_an_engine_is_named(tmp_path: Path) -> None:
    answer = run(tmp_path, None)
    assert answer.returncode == 127
    assert answer.stderr == "kd: this node has neither apptainer nor singularity\n"
