"""How numbers read in a report: percent, points, durations, counts. A dash stands for what is not known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from kd.rundir.result_sections import Selection, SelectionStep

DASH = "–"
METRICS = {"accuracy": "accuracy", "f1_score": "macro F1"}  # what stages are compared by, as it reads
MINUS = "\N{MINUS SIGN}"


def percent(fraction: float | None, digits: int = 2) -> str:
    """Return a fraction as ``91.20``, in percent without the sign."""
    return DASH if fraction is None else f"{100 * fraction:.{digits}f}"


def points(difference: float | None) -> str:
    """Return a difference of fractions as ``+1.20``, in percentage points."""
    return DASH if difference is None else f"{100 * difference:+.2f}".replace("-", MINUS)


def mean_sd(mean: float | None, sd: float | None) -> str:
    """Return ``91.20 ± 0.31`` in percent, or only the mean where there is no spread to give."""
    return percent(mean) if sd is None else f"{percent(mean)} ± {percent(sd)}"


def interval(bounds: Sequence[float] | None, write: Callable[[float | None], str] = percent) -> str:
    """Return ``90.81 to 91.59``."""
    return DASH if bounds is None else f"{write(bounds[0])} to {write(bounds[1])}"


def p_value(p: float | None) -> str:
    """Return a p value with as many digits as it deserves."""
    if p is None:
        return DASH
    return "below 0.0001" if p < 0.0001 else f"{p:.4f}".rstrip("0").ljust(4, "0")


def plain(value: float | None, digits: int = 2) -> str:
    """Return a number with a fixed count of digits."""
    return DASH if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def duration(seconds: float | None) -> str:
    """Return ``42 s``, ``7 min 05 s`` or ``3 h 20 min``."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(size: float | None) -> str:
    """Return bytes as ``0.31``, in MB (10^6 bytes)."""
    return DASH if size is None else f"{size / 1e6:.2f}" if size < 1e8 else f"{size / 1e6:.0f}"


def gigaflops(operations: float | None) -> str:
    """Return operations as ``0.0254``, in 10^9."""
    return DASH if operations is None else f"{operations / 1e9:.3g}"


def milliseconds(seconds: float | None) -> str:
    """Return seconds as ``1.25``, in ms."""
    if seconds is None:
        return DASH
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def times(ratio: float | None) -> str:
    """Return a ratio as ``3.9×``."""
    return DASH if ratio is None else f"{ratio:.2f}×"


def count(number: float | None, unit: str = "") -> str:
    """Return a large number shortly: ``11.2 M``, ``48.3 k``."""
    if number is None:
        return DASH
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g} {letter}{unit}"
    return f"{number:.0f} {unit}".strip()


def parameters(total: float | None, trainable: float | None) -> str:
    """Return ``103 M``, or ``103 M, 98.3 M of them trained`` where some were frozen."""
    return count(total) if trainable in (None, total) else f"{count(total)}, {count(trainable)} of them trained"


def listed(values: Sequence[object]) -> str:
    """Return values joined by commas, or a dash."""
    return ", ".join(str(value) for value in values) or DASH


def assignments(values: Mapping[str, object] | None) -> str:
    """Return ``optimizer.lr = 0.05, optimizer.nesterov = true``, or a dash."""
    return listed([f"{key} = {json.dumps(value)}" for key, value in (values or {}).items()])


def steps(selection: Selection) -> str:
    """Return the steps of a chain, each with its student's validation error in percent and what it saved.

    ``teacher 9.10, assistant 8.20 (+0.90 of 0.46 needed)``.
    """
    return listed([_step(step) for step in selection.steps])


def _step(step: SelectionStep) -> str:
    judged = f"{step.candidate} {percent(step.error)}"
    if step.fall is None:
        return judged
    return f"{judged} ({points(step.fall)} of {percent(step.needed)} needed)"
