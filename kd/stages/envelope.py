"""What every result.json says beside its stage's own findings: whose it is, on what and from what, with which files."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from kd.stages.context import StageContext, identity
from kd.stages.data import Data
from kd.train.device import Runtime


def result_of(
    context: StageContext,
    spec: Mapping[str, Any],
    findings: Mapping[str, Any],
    *,
    runtime: Runtime,
    data: Data,
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Return the contents of result.json. ``files`` are the published artefacts with their SHA-256."""
    return {
        "format": 1,
        **identity(spec),
        "device": runtime.description,
        "precision": runtime.precision,
        "torch": torch.__version__,
        "data": data.facts(spec["data"]["name"]),
        **findings,
        "files": dict(files),
        "job": dict(context.facts),
        "finished": time.time(),
    }
