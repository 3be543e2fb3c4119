"""torchvision and timm import here, whatever torch they were built for, and by no other way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import kd
from kd import vision_libraries

LIBRARIES = {"torchvision", "timm"}
SOURCES = sorted(Path(path) for folder in kd.__path__ for path in Path(folder).rglob("*.py"))


def test_both_import_in_a_fresh_process_without_a_warning() -> None:
    program = (
        "from kd.vision_libraries import import_vision\n"
        "for name in ('timm.models.vision_transformer', 'torchvision.models', 'torchvision'):\n"
        "    assert import_vision(name).__name__ == name\n"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=Path(kd.__path__[0]).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_no_module_imports_them_itself() -> None:
    assert SOURCES
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert LIBRARIES.isdisjoint(named), f"{path}: use kd.vision_libraries"


def test_operators_that_are_there_already_are_not_declared_again() -> None:
    vision_libraries.import_vision("torchvision")
    assert vision_libraries._declare_missing_operators.__wrapped__() is None
