"""A job file from text, and the faults of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kd.errors import SpecError
from kd.jobfile.load import load_pipeline
from kd.jobfile.stage import Pipeline

TEXT = """\
pipeline: test
data: {name: digits, validation: 100}
seeds: [1, 2]
resources: {gpus: 0, memory: 2G}
stages:
  teacher:
    kind: train
    model: convnet
    epochs: 4
    batch_size: 32
    optimizer: {name: sgd, lr: 0.1}
    schedule: {name: multistep, milestones: [2, 3]}
  student:
    kind: distill
    teacher: teacher
    model: {name: convnet, width: 8}
    epochs: 4
    optimizer: {name: sgd, lr: 0.1}
    loss: {ce: 0.5, kd: {weight: 0.5, temperature: 4}}
  report: {kind: report}
"""

LoadText = Callable[..., Pipeline]


@pytest.fixture
def load_text(tmp_path: Path) -> LoadText:
    """Load a job (a teacher, a student and a report, or the ``text`` given) with overrides applied."""

    def load(*overrides: str, text: str = TEXT, **options: Any) -> Pipeline:
        path = tmp_path / "job.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return load_pipeline(str(path), overrides=overrides, **options)
        except SpecError as error:
            raise SpecError([line.replace(f"{path}:", "job.yaml:") for line in error.lines]) from None

    return load


@pytest.fixture
def faults_of(load_text: LoadText) -> Callable[..., Sequence[str]]:
    """Return the error lines of a job that must not load; ``replaced`` changes its text first."""

    def faults(
        *overrides: str, text: str = TEXT, replaced: tuple[str, str] = ("", ""), **options: Any
    ) -> Sequence[str]:
        assert replaced[0] in text
        with pytest.raises(SpecError) as caught:
            load_text(*overrides, text=text.replace(*replaced) if replaced[0] else text, **options)
        return caught.value.lines

    return faults
