"""Tables of plain text have straight columns, and none that is empty."""

from __future__ import annotations

from kd.columns import aligned


def test_cells_are_as_wide_as_the_widest_of_their_column() -> None:
    assert aligned(("job", "why"), [("a", "failed"), ("longer", "")]) == [
        ["job   ", "why   "],
        ["a     ", "failed"],
        ["longer", "      "],
    ]


def test_a_column_that_no_row_fills_is_left_out() -> None:
    assert aligned(("job", "node", "why"), [("a", "", "b")]) == [["job", "why"], ["a  ", "b  "]]
