"""The rules of ARCHITECTURE.md, read off the code: who imports whom, what a login node loads, how large files are."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.submission.executors import EXECUTORS

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for package in ("kd", "slurm") for path in (REPOSITORY / package).rglob("*.py"))
HEAVY = {"torch", "numpy", "pandas", "matplotlib", "torchvision", "timm", "sklearn", "scipy", "safetensors"}
# What the launcher may use of the library: its torch-free part.
SHARED = (
    "kd.columns",
    "kd.durations",
    "kd.errors",
    "kd.files",
    "kd.hashed_copy",
    "kd.catalog",
    "kd.rundir",
    "kd.places",
    "kd.jobfile",
    "kd.user_code",
)
# Imports of the library inside functions, allowed because they run in a job or after one.
LATE = {
    ("slurm.job.payload", "kd.run"),
    ("slurm.job.payload", "kd.stages.context"),
    ("slurm.job.fork_server", "kd.run"),
    ("slurm.commands.submit", "kd.report.table"),
}
# The launcher's rooms: each may import only those named. Arrows go one way, from what a person types to the cluster.
ROOMS = {
    "slurm.commands": {"slurm.submission", "slurm.placement", "slurm.job", "slurm.state", "slurm.cluster"},
    "slurm.submission": {"slurm.placement", "slurm.job", "slurm.state", "slurm.cluster"},
    "slurm.placement": {"slurm.cluster"},
    "slurm.job": {"slurm.cluster"},
    "slurm.state": {"slurm.cluster"},
    "slurm.cluster": set[str](),
}
# The longest file and the longest function of each package. Numbers go down; one that must go up is a decision record.
LONGEST = {
    "kd": (235, 28),
    "kd.compress": (150, 34),
    "kd.data": (249, 39),
    "kd.data.sources": (140, 46),
    "kd.distill": (231, 36),
    "kd.drawing": (123, 23),
    "kd.evaluate": (103, 31),
    "kd.jobfile": (301, 36),
    "kd.jobfile.kinds": (300, 30),
    "kd.losses": (266, 26),
    "kd.models": (264, 40),
    "kd.report": (226, 41),
    "kd.report.figures": (121, 25),
    "kd.rundir": (337, 39),
    "kd.search": (124, 26),
    "kd.stages": (193, 40),
    "kd.stages.searching": (85, 36),
    "kd.stages.training": (259, 40),
    "kd.tracking": (84, 15),
    "kd.train": (202, 35),
    "kd.trained": (150, 32),
    "kd.user_code": (212, 28),
    "slurm": (1, 0),
    "slurm.cluster": (277, 29),
    "slurm.commands": (271, 31),
    "slurm.job": (286, 36),
    "slurm.placement": (209, 32),
    "slurm.state": (106, 25),
    "slurm.submission": (289, 37),
}
# Files of a run and of its stage folders: kd.rundir alone knows their names.
RUN_FILES = re.compile(
    r"\b(job\.yaml|(plan|provenance|launch|capabilities|digests|spec|progress|result|failure|attempt|report)\.json"
    r"|journal\.jsonl|metrics\.csv|code\.zip|resume\.pt)$|^(replaced|checkpoint)$|replaced-"
)


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def imports(path: Path, *, late: bool) -> Iterator[str]:
    """Yield the modules a file imports: at import time, or (late) inside its functions. Type-only ones are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {
        node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)
    }
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if node in typing_only or (node in inside) is not late:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def project_imports(*, late: bool) -> dict[str, set[str]]:
    return {
        name: {target for target in imports(path, late=late) if target.split(".")[0] in ("kd", "slurm")}
        for name, path in MODULES.items()
    }


def test_library_never_imports_the_launcher() -> None:
    for late in (False, True):
        for name, targets in project_imports(late=late).items():
            if name.startswith("kd"):
                assert not [target for target in targets if target.startswith("slurm")], name


def test_launcher_imports_only_the_torch_free_part_of_the_library() -> None:
    for name, targets in project_imports(late=False).items():
        if name.startswith("slurm"):
            assert [t for t in targets if t.startswith("kd.") and not t.startswith(SHARED)] == [], name
    late = {
        (name, target)
        for name, targets in project_imports(late=True).items()
        for target in targets
        if name.startswith("slurm") and target.startswith("kd.") and not target.startswith(SHARED)
    }
    assert late <= LATE


def test_only_the_executors_import_submitit() -> None:
    users = {name for name, path in MODULES.items() for late in (True, False) if "submitit" in _roots(path, late)}
    assert users == {"slurm.submission.submitit_calls"}


def _roots(path: Path, late: bool) -> set[str]:
    return {target.split(".")[0] for target in imports(path, late=late)}


def test_imports_have_no_cycles() -> None:
    graph = project_imports(late=False)
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_package_files_import_nothing() -> None:
    for path in SOURCES:
        if path.name == "__init__.py":
            body = [type(node).__name__ for node in ast.parse(path.read_text(encoding="utf-8")).body]
            late = ["FunctionDef"] if path.parent.name == "kd" else []  # kd.load and others
            assert body == ["Expr", *late], f"{path}: only a docstring"


def test_every_file_says_what_it_is() -> None:
    for path in SOURCES:
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path}: no docstring"


def test_files_and_functions_do_not_grow() -> None:
    for package, (most_lines, longest_function) in LONGEST.items():
        for path in (REPOSITORY / package.replace(".", "/")).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert len(text.splitlines()) <= most_lines, f"{path}: longer than {most_lines} lines; split it"
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    lines = (node.end_lineno or node.lineno) - node.lineno + 1
                    where = f"{path}:{node.lineno}: {node.name}"
                    assert lines <= longest_function, f"{where}: longer than {longest_function} lines; split it"
    assert set(LONGEST) == {package_of(path) for path in SOURCES}, "one row for each package in LONGEST"


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).parent.parts)


def test_the_launchers_rooms_import_one_way() -> None:
    for late in (False, True):
        for name, targets in project_imports(late=late).items():
            if name.startswith("slurm."):
                room = _part(name)
                others = {_part(target) for target in targets if target.startswith("slurm.")} - {room}
                assert others <= ROOMS[room], f"{name} imports {others - ROOMS[room]}"


def test_no_place_asks_which_executor_it_has() -> None:
    """What differs between executors are methods and fields of theirs, not comparisons with their names."""
    names = set(EXECUTORS)
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                assert names.isdisjoint(compared), f"{path}:{node.lineno}: ask the executor object instead"


def test_the_launcher_leaves_the_names_of_a_runs_files_to_rundir() -> None:
    for name, path in MODULES.items():
        if not name.startswith("slurm"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
                assert not RUN_FILES.search(node.value), f"{path}:{node.lineno}: {node.value!r} is kd.rundir's to name"


LOADED = """
import json, sys
sys.argv = {argv!r}
from {module} import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})), file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("module", "argv", "code"),
    [
        ("slurm.commands.submit", ["kd-submit", "cnn_pipeline", "--cluster", "markov", "--dry-run"], 0),
        ("slurm.commands.submit", ["kd-submit", "no_such_job"], 2),
        ("slurm.commands.status", ["kd-status", "no_such_run"], 2),
        ("slurm.commands.cancel", ["kd-cancel", "no_such_run"], 2),
        ("kd.report.command", ["kd-collect", "no_such_run"], 2),
    ],
)
def test_login_node_commands_load_nothing_heavy(module: str, argv: list[str], code: int, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module, argv=argv)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "KD_DATA": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stderr
    assert HEAVY.isdisjoint(json.loads(answer.stderr.splitlines()[-1]))


def test_import_table_of_the_architecture_page_is_true() -> None:
    """Each row `| package | may import |` names exactly the packages that its modules import."""
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]*) \|", text, flags=re.MULTILINE))
    stated = {name: set(re.findall(r"`([\w.]+)`", targets)) for name, targets in rows.items()}
    actual: dict[str, set[str]] = {}
    for late in (False, True):
        for name, targets in project_imports(late=late).items():
            home = _part(name)
            actual.setdefault(home, set()).update({_part(target) for target in targets} - {home})
    assert stated == actual, "renew the table in ARCHITECTURE.md"


def _part(name: str) -> str:
    """Return the row of the table that a module belongs to: its package, or itself when it lies at the top."""
    return ".".join(name.split(".")[:2])
