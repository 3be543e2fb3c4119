"""Reading JSON that anybody may have written: bounded, whole, and of the expected shape."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import Struct

from kd.rundir.bounded_json import read_bounded_json, read_object


class Point(Struct):
    x: float
    name: str = ""


def test_a_file_is_read_as_a_value_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "it.json").write_text('{"x": 1, "name": "é", "of a newer version": [1]}')
    assert read_bounded_json(tmp_path / "it.json", Point) == Point(1.0, "é")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "truncated"),
        (b'{"x": 1', "truncated"),
        (b'{"x": NaN}', "malformed"),
        (b"[1]", "Expected `object`, got `array`"),
        (b'{"x": "one"}', r"Expected `float`, got `str` - at `\$.x`"),
        (b"{}", "missing required field `x`"),
        (b'{"x": 1, "name": "\xff"}', "utf-8"),
        (b'{"x": 1, "deep": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"x": 1}' + b" " * 100, "at most 100 are read"),
    ],
)
def test_what_is_no_such_value_is_refused_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "it.json").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_bounded_json(tmp_path / "it.json", Point, largest=100 if b" " * 100 in content else 1 << 20)


def test_a_pipe_is_refused_at_once_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "it.json")
    with pytest.raises(ValueError, match="not a regular file"):
        read_bounded_json(tmp_path / "it.json", Point)


def test_a_folder_or_nothing_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_bounded_json(tmp_path / "absent.json", Point)
    (tmp_path / "it.json").mkdir()
    assert read_object(tmp_path / "it.json") is None
    assert read_object(tmp_path / "absent.json") is None
