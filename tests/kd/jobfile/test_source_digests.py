"""The source of catalogue functions counts: an edit retrains what names it, a comment retrains nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kd.jobfile import source_digests

REPOSITORY = Path(__file__).resolve().parents[3]
PLANNED = """
import json
from kd.jobfile.load import load_pipeline
from kd.jobfile.plan import plan_pipeline
jobs = plan_pipeline(load_pipeline("small.yaml")).jobs
print(json.dumps({job.key.stage: job.fingerprint for job in jobs}))
"""


def scale_result(file: Path, function: str, by: str = "2") -> None:
    """Multiply what a function returns, in its first return statement."""
    head, name, rest = file.read_text(encoding="utf-8").partition(f"def {function}(")
    assert "    return " in rest
    file.write_text(head + name + rest.replace("    return ", f"    return {by} * ", 1), encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the library beside a job file: a teacher, a student with it and one without."""
    shutil.copytree(REPOSITORY / "kd", tmp_path / "kd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "tests/jobs/small.yaml", tmp_path)
    return tmp_path


def fingerprints(copy: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    ran = subprocess.run(
        [sys.executable, "-c", PLANNED], cwd=copy, env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(ran.stdout)
    return found


def retrained(copy: Path, before: dict[str, str]) -> set[str]:
    return {stage for stage, digest in fingerprints(copy).items() if before[stage] != digest}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edit_retrains_what_names_the_function_and_a_comment_nothing(copy: Path) -> None:
    before = fingerprints(copy)
    model = copy / "kd/models/convnet.py"
    edit(model, "\ndef ", "\n# A comment.\n\n\ndef ")
    edit(model, '"""', '"""Other words first. ')
    assert fingerprints(copy) == before
    scale_result(copy / "kd/losses/logit.py", "kd")
    assert retrained(copy, before) == {"distilled", "report"}
    edit(model, "nn.ReLU(inplace=True)", "nn.GELU()")
    assert retrained(copy, before) == {"teacher", "baseline", "distilled", "report"}


def test_what_a_function_calls_counts_across_modules(copy: Path) -> None:
    before = fingerprints(copy)
    numerics = copy / "kd/losses/numerics.py"
    edit(numerics, "def target(", "SCALE = 2\n\n\ndef target(")
    assert fingerprints(copy) == before, "a definition that nothing uses"
    scale_result(numerics, "target", by="SCALE")
    assert retrained(copy, before) == {"distilled", "report"}


def test_the_declared_digests_are_those_of_the_source() -> None:
    """The message is what to do after a deliberate change."""
    declared = json.loads((REPOSITORY / "kd/jobfile/source_digests.json").read_text(encoding="utf-8"))
    now = source_digests.current_digests()
    edited = sorted(name for name in declared.keys() | now.keys() if declared.get(name) != now.get(name))
    assert not edited, (
        f"the source of {', '.join(edited)} has changed. If what it computes has, raise its layer's number in "
        f"kd/jobfile/versions.py; then: python -m kd.jobfile.source_digests > kd/jobfile/source_digests.json"
    )
