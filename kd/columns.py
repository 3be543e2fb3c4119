"""Columns of plain text as the launcher's tables show them: aligned, and left out where no row fills them."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the headings and the rows, each cell padded to the width of its column, without columns that are empty."""
    used = [column for column in range(len(headings)) if any(row[column] for row in rows)]
    lines = (headings, *rows)
    widths = {column: max(len(line[column]) for line in lines) for column in used}
    return [[line[column].ljust(widths[column]) for column in used] for line in lines]
