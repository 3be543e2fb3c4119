"""The files of a run folder have their names in ``kd.rundir`` alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import kd

PACKAGE = Path(kd.__file__).parent
NAMES = re.compile(
    r"(^|/)((spec|result|progress|failure|attempt|plan|provenance|launch|digests|trials|report)\.json|metrics\.csv"
    r"|journal\.jsonl|code\.zip|job\.yaml|(best|last|gate|views)\.safetensors|replaced.*)$|^checkpoint(/|$)|^stages/"
)


def path_literals(source: Path) -> Iterator[str]:
    """Yield the texts in a file that are names of files in a run folder: no sentences, no docstrings."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
        if NAMES.search(text) and not re.search(r"\s", text):
            yield f"{source.relative_to(PACKAGE)}:{node.lineno}: {text}"


def test_no_other_module_of_the_library_writes_a_path_of_a_run() -> None:
    others = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "rundir"]
    found = [literal for path in others for literal in path_literals(path)]
    assert found == [], "use the names and properties of kd.rundir.folders"


def test_the_names_that_are_looked_for_are_those_that_rundir_writes() -> None:
    assert len(list(path_literals(PACKAGE / "rundir" / "folders.py"))) > 15
