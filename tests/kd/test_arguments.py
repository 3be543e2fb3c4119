"""Arguments of catalogued functions: what each annotation takes, and how a fault is said."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kd.arguments import RANGES, argument_fault, normalised


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", -1), ("PositiveInt", 1), ("NonNegativeInt", 0), ("float", -1), ("float", 1.5), ("PositiveFloat", 1e-9),
        ("PositiveFloat", 2**80), ("NonNegativeFloat", 0), ("Fraction", 1), ("Fraction", 0), ("bool", False),
        ("str", ""), ("Literal['a', 'b']", "b"), ("Literal[1, 2]", 2), ("list[PositiveInt]", []),
        ("list[list[int]]", [[1], []]), ("int | None", None), ("bool | str | None", "x"), ("list[int] | None", [1]),
        ("dict[str, str]", {}), ("dict[str, int]", {"a": 1}), ("Any", [1, {}]), ("list[Any]", [None, "x"]),
    ],
)  # fmt: skip
def test_fitting_values_have_no_fault(annotation: str, value: Any) -> None:
    assert argument_fault(annotation, value) is None


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        ("PositiveInt", 0, "expected a whole number of at least 1, got 0"),
        ("PositiveInt", 1.0, "expected a whole number of at least 1, got 1.0"),
        ("int", True, "expected a whole number, got true"),
        ("float", math.nan, "expected a number, got nan"),
        ("PositiveFloat", math.inf, "expected a number above 0, got inf"),
        ("Fraction", 1.1, "expected a number from 0 to 1, got 1.1"),
        ("bool", 1, "expected true or false, got 1"),
        ("str", None, "expected text, got nothing"),
        ("Literal['a', 'b']", "c", "expected 'a' or 'b', got 'c'"),
        ("Literal[1, 2]", True, "expected 1 or 2, got true"),
        ("list[PositiveInt]", 3, "expected a list (each: a whole number of at least 1), got 3"),
        ("PositiveInt | None", "x", "expected a whole number of at least 1 or null, got 'x'"),
        ("int | Literal['all']", "any", "expected a whole number or 'all', got 'any'"),
        ("dict[str, str]", {"a": 1}, "expected a mapping (each value: text), got {'a': 1}"),
        ("dict[str, str]", {1: "a"}, "expected a mapping (each value: text), got {1: 'a'}"),
        ("list[Any]", 3, "expected a list (each: any value), got 3"),
        ("str", ["x" * 500], "expected text, got ['" + "x" * 55 + "..."),
    ],
)
def test_a_fault_says_what_was_expected(annotation: str, value: Any, message: str) -> None:
    assert argument_fault(annotation, value) == ((), message)


def test_a_fault_in_a_list_has_its_index() -> None:
    assert argument_fault("list[Fraction]", [0, 2, 3]) == ((1,), "expected a number from 0 to 1, got 2")


@pytest.mark.parametrize("annotation", ["Tensor", "set[int]", "Optional[int]"])
def test_an_annotation_without_a_rule_is_a_bug_that_says_so(annotation: str) -> None:
    with pytest.raises(AssertionError, match=r"use the names of kd\.arguments"):
        argument_fault(annotation, object())


@pytest.mark.parametrize(
    ("annotation", "value", "form"),
    [("PositiveFloat", 4, 4.0), ("Fraction | None", 1, 1.0), ("int", 4, 4), ("int | float", 4, 4), ("bool", True, True),
     ("float | None", None, None), ("str", "4", "4")],
)  # fmt: skip
def test_whole_numbers_become_real_where_only_those_are_taken(annotation: str, value: Any, form: Any) -> None:
    result = normalised(annotation, value)
    assert (type(result), result) == (type(form), form)


def test_every_range_name_is_a_type_of_the_module() -> None:
    import kd.arguments

    for name, allowed in RANGES.items():
        assert getattr(kd.arguments, name, {"int": int, "float": float}.get(name)) is (int if allowed.whole else float)
