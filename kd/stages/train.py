"""Stage kind "train": a model learns from labels alone (a teacher, or the baseline of a student)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd.stages.configuration import configured
from kd.stages.context import StageContext
from kd.stages.fit import fit_stage


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train, measure, and return the contents of result.json."""
    return fit_stage(context, configured(context, spec))
