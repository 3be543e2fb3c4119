"""YAML is read strictly, with exact positions, and hostile text ends in one line at once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from kd.errors import SpecError
from kd.jobfile.source import MOST_BYTES, MOST_VALUES, parse_document, parse_value, read_document


def fault(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_document(text, "f")
    assert len(caught.value.lines) == 1
    return caught.value.lines[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1), ("-2", -2), ("+3", 3), ("0", 0), ("1_000", 1000), ("1e-3", 0.001), ("5E-4", 0.0005), (".5", 0.5),
        ("1.", 1.0), ("-1.5e+2", -150.0), (".inf", math.inf), ("-.INF", -math.inf), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("yes", "yes"), ("on", "on"), ("12:30", "12:30"), ("007", "007"),
        ("0x10", "0x10"), ("'1'", "1"), ('"true"', "true"), ("1-12:00:00", "1-12:00:00"), ("2024-01-01", "2024-01-01"),
    ],
)  # fmt: skip
def test_plain_text_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    parsed = parse_document(f"a: {text}", "f").data["a"]
    assert (type(parsed), parsed) == (type(value), value)


def test_not_a_number_is_a_number_to_be_refused_later() -> None:
    assert math.isnan(parse_document("a: .nan", "f").data["a"])


def test_every_key_and_element_has_its_position() -> None:
    document = parse_document("a: {b: 1,\n    c: [x, y]}\n", "f")
    assert document.positions == {
        (): "f:1:1", ("a",): "f:1:1", ("a", "b"): "f:1:5", ("a", "c"): "f:2:5",
        ("a", "c", 0): "f:2:9", ("a", "c", 1): "f:2:12",
    }  # fmt: skip
    assert document.line(("a", "c", 1, "deeper"), "wrong") == "f:2:12: wrong"


def test_columns_count_characters_not_bytes() -> None:
    assert parse_document("{ü: 1, b: 2}", "f").positions[("b",)] == "f:1:8"


def test_an_alias_repeats_a_value_and_places_faults_where_it_stands() -> None:
    document = parse_document("a: &x {b: 1}\nc: *x\n", "f")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}
    assert document.line(("c", "b"), "wrong") == "f:2:1: wrong"


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_a_hundred_thousand_levels_end_in_one_line(opening: str) -> None:
    message = fault("a:\n  " + opening * 100_000).partition(": ")[2]
    assert message in ("nested more than 20 deep", "expected a name as key")


def test_deep_blocks_end_in_one_line() -> None:
    assert fault("\n".join(" " * level + "a:" for level in range(2000))).endswith("nested more than 20 deep")


def test_a_thousand_million_laughs_are_not_laughed() -> None:
    rows = [f"b{level}: &b{level} [{', '.join([f'*b{level - 1}'] * 10)}]" for level in range(1, 20)]
    assert "inside an anchored value" in fault("\n".join(["b0: &b0 [ha, ha, ha]", *rows]))


def test_a_large_value_repeated_without_end_is_refused() -> None:
    many = f"a: &a [{', '.join(['1'] * 10_000)}]\nb: [{', '.join(['*a'] * 100)}]"
    assert fault(many).endswith(f"more than {MOST_VALUES:,} values")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n---\nb: 1", "f:2:1: expected one document, found a second ('---')"),
        ("", "f:1:1: expected keys and values at the top level, as in 'pipeline: cnn'"),
        ("a: 1\nb: 2\n\0", r"f:3:1: the character '\x00' is not allowed"),
        ("a: \ud800", r"f:1:4: the character '\ud800' is not allowed"),
        ("!!map {a: 1}", "f:1:1: the tag '!!map' is not allowed: write the plain value"),
        ("a: ! 1", "f:1:4: the tag '!' is not allowed: write the plain value"),
        ("&a k: 1", "f:1:1: expected a name as key"),
        ("null: 1", "f:1:1: expected a name as key, got nothing"),
        ("a:\n\tb: 1", "f:2:1: not valid YAML: found character that cannot start any token"
         " (indent with spaces, not with tabs)"),
    ],
)  # fmt: skip
def test_what_is_a_trap_in_yaml_is_refused(text: str, message: str) -> None:
    assert fault(text) == message


def test_a_file_that_is_too_long_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_bytes(b"a: [" + b"\xff" * (2 * MOST_BYTES))
    with pytest.raises(SpecError, match="longer than 1 MiB"):
        read_document(path)


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^here: Is a directory$"):
        read_document(tmp_path, shown_as="here")
    with pytest.raises(SpecError, match=r"^there: no such file$"):
        read_document(tmp_path / "no.yaml", shown_as="there")


def test_values_of_the_command_line_follow_the_same_rules() -> None:
    assert parse_value("[1, 1e-3, yes]") == [1, 0.001, "yes"]
    assert parse_value("") is None
    with pytest.raises(ValueError, match=r"^not valid YAML: did not find expected ',' or ']'$"):
        parse_value("[1")
    with pytest.raises(ValueError, match=r"^the character .* is not allowed$"):
        parse_value("\udcff")
