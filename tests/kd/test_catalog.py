"""The catalogue: read without torch, every entry well-formed, names and arguments checked."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kd import catalog
from kd.arguments import argument_fault

ENTRIES = [(kind, name) for kind in catalog.PLACES for name in catalog.entries(kind)]


def argument_faults(kind: str, name: str, given: dict[str, Any]) -> list[catalog.ArgumentFault]:
    return list(catalog.check_arguments(catalog.entries(kind)[name], kind, given, own=["name"]))


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_is_the_function_that_loads(kind: str, name: str) -> None:
    entry = catalog.entries(kind)[name]
    signature = inspect.signature(catalog.load(kind, name))
    settable = {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}
    assert {key: argument.default for key, argument in entry.arguments.items()} == settable
    assert list(entry.inputs) == [key for key in signature.parameters if key not in settable]
    assert catalog.find(kind, name) == entry


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_an_entry_has_a_summary_and_fitting_defaults(kind: str, name: str) -> None:
    entry = catalog.entries(kind)[name]
    assert entry.summary.endswith((".", ":", ")")) or len(entry.summary) > 20
    for argument in entry.arguments.values():
        value = [] if argument.default is catalog.REQUIRED else argument.default
        fault = argument_fault(argument.annotation, value)  # also: the annotation is one that can be checked
        assert fault is None or argument.default is catalog.REQUIRED


def test_reading_the_catalogue_loads_no_torch() -> None:
    code = (
        "import sys; from kd import catalog; [catalog.entries(kind) for kind in catalog.PLACES]; "
        "print([name for name in ('torch', 'numpy', 'pydantic') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_unknown_names_are_none_or_an_error() -> None:
    assert catalog.find("model", "resnet9000") is None
    assert catalog.find("model", "BasicBlock") is None
    assert catalog.find("model", "_resnet") is None
    with pytest.raises(KeyError):
        catalog.load("model", "resnet9000")
    with pytest.raises(KeyError):
        catalog.entries("no such kind")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"lr": 0.1}, []),
        ({}, [((), "optimizer 'sgd' needs 'lr'")]),
        ({"lr": -1}, [(("lr",), "lr: expected a number above 0, got -1")]),
        ({"lr": 1, "momentun": 0}, [(("momentun",), "optimizer 'sgd' takes no 'momentun' (did you mean 'momentum'?)")]),
        ({"lr": 1, "nme": 0}, [(("nme",), "optimizer 'sgd' takes no 'nme' (did you mean 'name'?)")]),
        ({"lr": 1, "nesterov": 1}, [(("nesterov",), "nesterov: expected true or false, got 1")]),
    ],
)
def test_arguments_are_checked(given: dict[str, Any], expected: list[catalog.ArgumentFault]) -> None:
    assert argument_faults("optimizer", "sgd", given) == expected


def test_a_fault_in_a_list_names_its_element() -> None:
    (fault,) = argument_faults("schedule", "multistep", {"milestones": [1, 0]})
    assert fault == (("milestones", 1), "milestones: expected a whole number of at least 1, got 0")


def test_resolved_arguments_have_one_form_for_one_meaning() -> None:
    resolved = catalog.resolve_arguments("optimizer", "sgd", {"lr": 1})
    assert resolved == {"lr": 1.0, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False}
    assert isinstance(resolved["lr"], float)
    assert isinstance(catalog.resolve_arguments("model", "convnet", {})["width"], int)


def test_two_modules_may_not_define_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "doubled_models"
    package.mkdir()
    (package / "__init__.py").touch()
    for module in ("one", "two"):
        (package / f"{module}.py").write_text('__all__ = ["same"]\ndef same(): ...\n')
    (package / "_private.py").write_text("this is no Python")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(catalog.PLACES, "doubled", ("doubled_models", None))  # type: ignore[attr-defined]
    with pytest.raises(AssertionError, match=r"stands in doubled_models\.one and in doubled_models\.two"):
        catalog.entries("doubled")
