"""A space of configurations: one dimension per searched setting, each mapped to and from the unit interval.

A configuration is a plain mapping of dotted keys (``loss.kd.temperature``, ``optimizer.lr``) to values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from kd.rundir.stage_spec import AxisSettings, TrainSettings

Configuration: TypeAlias = dict[str, Any]

DIGITS = 6  # significant ones of a chosen number
UNKNOWN = -1.0  # the position of a value that has none: text that is no choice, or nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One setting: one of ``choices`` where there are some, else a number from ``low`` to ``high``.

    ``partner`` is the setting that takes the rest of 1, if there is one.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    partner: str | None = None

    def value(self, position: float) -> Any:
        """Return the value at a position from 0 up to, not including, 1."""
        if self.choices:
            return self.choices[int(position * len(self.choices))]
        low, high = self._bounds()
        real = low + position * (high - low)
        real = math.exp(real) if self.log else real
        return round(real) if self.whole else float(f"{real:.{DIGITS}g}")

    def position(self, value: Any) -> float:
        """Return where a value lies: in [0, 1] inside the bounds, beyond them outside, UNKNOWN where nothing can."""
        if self.choices and not all(map(_is_number, self.choices)):
            return self.choices.index(value) / len(self.choices) if value in self.choices else UNKNOWN
        if not _is_number(value) or (self.log and value <= 0):
            return UNKNOWN
        low, high = self._bounds()
        return ((math.log(value) if self.log else value) - low) / (high - low or 1.0)

    def _bounds(self) -> tuple[float, float]:
        low, high = (min(self.choices), max(self.choices)) if self.choices else (self.low, self.high)
        return (math.log(low), math.log(high)) if self.log else (low, high)


def read_space(space: Mapping[str, AxisSettings]) -> tuple[Dimension, ...]:
    """Return the dimensions that a spec.json describes."""
    return tuple(
        Dimension(
            key=key,
            choices=tuple(axis.choices or ()),
            low=0.0 if axis.low is None else axis.low,
            high=1.0 if axis.high is None else axis.high,
            log=bool(axis.log),
            whole=bool(axis.whole),
            partner=axis.partner,
        )
        for key, axis in space.items()
    )


def configuration_at(space: Sequence[Dimension], point: Sequence[float]) -> Configuration:
    """Return the configuration at a point of the unit cube, with the partners' values."""
    found: Configuration = {}
    for dimension, position in zip(space, point, strict=True):
        found[dimension.key] = dimension.value(position)
        if dimension.partner is not None:
            found[dimension.partner] = round(1 - found[dimension.key], DIGITS)
    return found


def keys_of(space: Sequence[Dimension]) -> list[str]:
    """Return every setting that a configuration of this space sets."""
    return [key for dimension in space for key in (dimension.key, dimension.partner) if key is not None]


def setting(settings: TrainSettings, key: str) -> Any:
    """Return the value of a dotted key in the settings of a training, None where they have no such key."""
    holder = _holder(msgspec.to_builtins(settings), key)
    return None if holder is None else holder.get(key.rpartition(".")[2])


def with_configuration(settings: TrainSettings, configuration: Configuration) -> TrainSettings:
    """Return settings with a configuration's values in their places. Every key must be there."""
    changed = msgspec.to_builtins(settings)
    for key, value in configuration.items():
        holder, leaf = _holder(changed, key), key.rpartition(".")[2]
        assert holder is not None, f"no setting {key}"
        assert leaf in holder, f"no setting {key}"
        holder[leaf] = value
    return msgspec.convert(changed, TrainSettings)


def _holder(settings: Configuration, key: str) -> Configuration | None:
    """Return the mapping that holds the last part of a dotted key: a term's own, or the arguments of something."""
    head, _, rest = key.partition(".")
    inner, _, leaf = rest.rpartition(".")  # a loss of the user's own may have dots in its name
    path = [head, inner] if inner else [head]
    found: Any = settings
    for part in path:
        found = found.get(part)
        if found is None:
            return None
    own: Configuration = found if path[0] == "loss" and leaf == "weight" else found["arguments"]
    return own


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
