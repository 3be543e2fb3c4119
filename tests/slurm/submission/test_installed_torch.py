"""What kd-submit knows of the jobs' torch without loading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm.cluster.profile import Profile
from slurm.submission.installed_torch import without_cuda

CPU = (
    "from typing import Optional\n\n__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip: Optional[str] = None\n"
)


def venv(folder: Path, text: str) -> str:
    file = folder / "lib" / "python3.11" / "site-packages" / "torch" / "version.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return str(folder)


def test_a_torch_without_cuda_is_named_before_the_queue(tmp_path: Path) -> None:
    line = without_cuda(Profile(venv=venv(tmp_path, CPU)))
    assert line == f"the torch of {tmp_path} (2.13.0+cpu) is built without CUDA: jobs on GPUs will fail"


@pytest.mark.parametrize("line", ["cuda: Optional[str] = None", "hip: Optional[str] = None"])
def test_a_torch_for_gpus_is_fine(tmp_path: Path, line: str) -> None:
    text = CPU.replace(line, line.replace("None", "'12.1'"))
    assert without_cuda(Profile(venv=venv(tmp_path, text))) is None


def test_nothing_is_said_where_nothing_is_known_or_the_site_opts_out(tmp_path: Path) -> None:
    assert without_cuda(Profile(venv=str(tmp_path / "gone"))) is None
    assert without_cuda(Profile(venv=venv(tmp_path, CPU), require_gpus=False)) is None
