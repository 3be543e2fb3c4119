"""Models of the user's own: read without being imported, the same by their syntax, imported in the job alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd import catalog
from kd.entry import Entry
from kd.errors import CheckpointError, SpecError
from kd.train.weights import load_model
from kd.user_code import names
from tests.kd.conftest import make_spec, result_of

NETS = '''
"""Networks."""
from torch import nn
from .parts import width_of

with open({ran!r}, "w"):
    pass

class Base(nn.Module):
    def __init__(self, num_classes, in_channels, depth: int, factor=2, block=nn.ReLU):
        """Build."""
        super().__init__()
        self.layer1 = nn.Conv2d(in_channels, width_of(factor), 3, padding=1)
        self.flatten = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(width_of(factor), num_classes)

    def forward(self, x):
        return self.fc(self.flatten(self.layer1(x)))

class Net(Base):
    """A network of mine."""

def make(*, num_classes, **further):
    return Base(num_classes, 3, **further)

def nothing():
    return 3
'''
NAME = "my_networks.nets:Net"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "my_networks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "nets.py").write_text(NETS.format(ran=str(tmp_path / "ran")))
    (folder / "parts.py").write_text("def width_of(factor):\n    return int(2 * factor)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("my_networks")]:
        del sys.modules[name]


def entry(name: str = NAME) -> Entry:
    found = catalog.find("model", name)
    assert found is not None, catalog.unknown("model", name)
    return found


def faults(given: dict[str, object], name: str = NAME) -> list[str]:
    return [message for _, message in catalog.check_arguments(entry(name), "model", given, own=["name"])]


def test_names_and_arguments_are_read_and_nothing_is_imported(package: Path) -> None:
    assert entry().inputs == ("num_classes", "in_channels")
    assert {key: each.annotation for key, each in entry().arguments.items()} == {
        "depth": "int", "factor": "int | float", "block": "Any"
    }  # fmt: skip
    assert faults({"depth": 3, "factor": 1}) == []
    assert faults({}) == [f"model '{NAME}' needs 'depth'"]
    assert faults({"depth": 3, "facter": 1}) == [f"model '{NAME}' takes no 'facter' (did you mean 'factor'?)"]
    assert faults({"anything": 3}, "my_networks.nets:make") == []
    assert not (package.parent / "ran").exists()
    assert "my_networks" not in sys.modules


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my_networks.nets:Nett", "has no function and no class 'Nett' (did you mean 'Net'?)"),
        ("my_networks.nots:Net", "there is no module 'my_networks.nots'; install its package, put its folder into"),
        ("no_such_package:Net", "there is no module 'no_such_package'"),
        ("my_networks.broken:Net", "broken.py:2:9: "),
        ("../evil:Net", "there is no module '../evil'"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(name: str, said: str, package: Path) -> None:
    (package / "broken.py").write_text("x = 1\ndef Net(:\n")
    assert catalog.find("model", name) is None
    assert said in catalog.unknown("model", name)


def test_syntax_is_the_identity_and_what_is_imported_counts(package: Path) -> None:
    before = entry().identity
    nets = package / "nets.py"
    text = nets.read_text()
    nets.write_text("# a comment\n" + text.replace('"""Build."""', '"""Build it."""\n').replace('"""Networks."""', ""))
    assert entry().identity == before
    nets.write_text(text.replace("padding=1", "padding=0"))
    assert entry().identity != before
    nets.write_text(text)
    (package / "parts.py").write_text("def width_of(factor):\n    return int(3 * factor)\n")
    assert entry().identity != before


def own_spec(stage: str, *, kind: str = "train", name: str = NAME, **arguments: object) -> dict:
    given = {"depth": 3, "taps": {"stage1": "layer1", "pooled": "flatten"}, **arguments}
    return make_spec(stage, kind=kind, epochs=1) | {
        "settings": {**make_spec(stage, kind=kind, epochs=1)["settings"], "model": {"name": name, "arguments": given}}
    }


def test_it_trains_teaches_and_is_not_imported_for_a_file_of_weights(run, package: Path, tmp_path: Path) -> None:
    teacher = run(tmp_path / "teacher", own_spec("teacher"))
    assert (package.parent / "ran").exists()
    learning = make_spec("student", kind="distill", epochs=1)
    student = run(tmp_path / "student", learning, parents={"teacher": teacher.path})
    assert result_of(student)["teacher"]["stage"] == "teacher"
    names._allowed.clear()
    with pytest.raises(CheckpointError, match="code that is imported only where a job file names it"):
        load_model(teacher.path / "checkpoint/best.safetensors")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("my_networks.nets:Net", {"factor": "x"}, r"nets\.py:\d+: my_networks\.nets:Net: ValueError: invalid literal"),
        (
            "my_networks.nets:nothing",
            {},
            r"nets\.py:\d+: .*:nothing gives 3, which is no torch\.nn\.Module",
        ),
    ],
)
def test_what_the_code_raises_is_one_line_with_its_place(name: str, arguments: dict, said: str, package: Path) -> None:
    given = {} if name.endswith("nothing") else {"depth": 1, **arguments}
    names.allow(name)
    with pytest.raises(SpecError, match=said) as error:
        catalog.load("model", name)(4, 3, 8, **given)
    assert "\n" not in str(error.value)
