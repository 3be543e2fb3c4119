"""A file that an argument names counts by its content, wherever the argument stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kd.jobfile.fingerprint import counted_by_content, deciding, stage_content

DATA: dict[str, Any] = {"name": "digits", "root": None, "arguments": {}}


def settings(file: str, place: str) -> dict[str, Any]:
    components: dict[str, Any] = {
        "model": {"name": "resnet20", "arguments": {}},
        "optimizer": {"name": "sgd", "arguments": {}},
        "loss": {"kd": {"weight": 1.0, "arguments": {}}},
    }
    arguments = components["loss"]["kd"] if place == "loss" else components[place]
    arguments["arguments"] = {"start": file, "more": [{"inside": file}]}
    return components


@pytest.mark.parametrize("place", ["model", "optimizer", "loss"])
@pytest.mark.parametrize("inside_a_search", [False, True])
def test_an_argument_that_names_a_file_counts_by_its_content(tmp_path: Path, place: str, inside_a_search: bool) -> None:
    first, copy = tmp_path / "first.pth", tmp_path / "elsewhere.pth"
    first.write_bytes(b"one")
    copy.write_bytes(b"one")

    def content(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
        named = settings(str(file), place)
        named = {"training": named} if inside_a_search else named
        return stage_content(named, DATA, "none"), counted_by_content(named, DATA, "none", ["models"])

    before, words = content(first)
    assert content(copy)[0] == before, "a copy is the same file"
    first.write_bytes(b"two")
    after, words_after = content(first)
    assert after != before
    assert [key for key in words if words[key] != words_after[key]] == [f"the content of {first}"]


def test_a_bare_name_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = stage_content(settings("linear", "model"), DATA, "none")
    (tmp_path / "linear").write_text("whatever lies here")
    assert stage_content(settings("linear", "model"), DATA, "none") == before


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "weights.pth").write_bytes(b"one")
    before = stage_content(settings(f"~{os.sep}weights.pth", "model"), DATA, "none")
    assert before == stage_content(settings(str(tmp_path / "weights.pth"), "model"), DATA, "none")


@pytest.mark.parametrize("name", ["pretrained", "file"])
def test_weights_of_any_name_are_named_when_they_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.pth").write_bytes(b"one")
    model: dict[str, Any] = {"name": "resnet18", "arguments": {}}
    given: dict[str, Any] = {"model": model, "file": "weights.pth"}
    if name == "pretrained":
        given = {"model": {**model, "arguments": {"pretrained": "weights.pth"}}}
    before = stage_content(given, DATA, "none"), counted_by_content(given, DATA, "none", [])
    (tmp_path / "weights.pth").write_bytes(b"two")
    after = stage_content(given, DATA, "none"), counted_by_content(given, DATA, "none", [])
    assert before[0] != after[0]
    assert "the content of weights.pth" in {key for key in before[1] if before[1][key] != after[1][key]}


def test_a_later_argument_of_a_loss_counts_only_where_it_changes_something() -> None:
    before = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0}}}}
    as_before = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0, "standardise": False}}}}
    changed = {"loss": {"kd": {"weight": 0.5, "arguments": {"temperature": 4.0, "standardise": True}}}}
    assert deciding(as_before) == deciding(before) == before
    assert deciding(changed) == changed
    hints = {"loss": {"fitnet": {"weight": 1.0, "arguments": {"stages": None, "distance": "squared"}}}}
    assert deciding(hints) == {"loss": {"fitnet": {"weight": 1.0, "arguments": {"stages": None}}}}


def test_a_loss_that_has_changed_retrains_only_the_stages_that_use_it() -> None:
    review = {"loss": {"review": {"weight": 1.0, "arguments": {}}}}
    assert deciding(review) == {"loss": {"review": {"weight": 1.0, "arguments": {}, "version": 2}}}


def test_what_only_shows_a_training_does_not_count() -> None:
    plain = settings("linear", "model")
    shown = {**plain, "track": ["wandb"], "draw": {"embeddings": 500}, "checkpoint_every": 3}
    for whole, more in ((plain, shown), ({"training": plain}, {"training": shown})):
        assert stage_content(more, DATA, "none") == stage_content(whole, DATA, "none")
