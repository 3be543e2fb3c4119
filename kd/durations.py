"""Lengths of time as the launcher's tables show them: rough, in at most two units."""

from __future__ import annotations


def rough_duration(seconds: float) -> str:
    """Return ``40 s``, ``12 min``, ``2 h 05 min`` or ``3 d 4 h``; a report, which is read slowly, gives more digits."""
    total = round(max(seconds, 0))
    if total < 60:
        return f"{total} s"
    minutes = round(total / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"
