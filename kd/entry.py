"""One named thing that a job file may use: a model, a data set, a loss, an optimizer, a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kd.signatures import Argument


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of the catalogue. ``inputs`` are the parameters that the code supplies.

    With ``open_ended`` further arguments may be given, which only the code behind it can judge. ``identity`` is what
    the code *is*, for fingerprints, where it is none of this project's. ``function`` is called with what is ``bound``.
    """

    name: str
    module: str
    summary: str
    inputs: tuple[str, ...]
    arguments: Mapping[str, Argument]
    open_ended: bool = False
    identity: str | None = None
    function: str
    text: str = ""  # the whole docstring
    bound: Mapping[str, object] = field(default_factory=dict)
