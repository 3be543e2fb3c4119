"""The settings that a search found, in the place of those that a job file has for a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd.errors import CheckpointError
from kd.rundir.folders import StageFolder
from kd.search.space import with_configuration
from kd.stages.context import StageContext


def configured(context: StageContext, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the spec of a training with what its search found best; unchanged where it names no search.

    ``configuration`` in it then says for result.json what was found, in how many epochs of trials. Raises
    CheckpointError when the search has not finished.
    """
    if "configuration" not in spec["parents"]:
        return spec
    folder = context.parents["configuration"]
    result = StageFolder(folder).read_result()
    if result is None:
        raise CheckpointError(f"{folder}: the search has no result.json, so it has not finished; run it first")
    values = result["best"]["configuration"]
    found = {**{key: result[key] for key in ("stage", "seed", "epochs")}, "values": values}
    return {**spec, "settings": with_configuration(spec["settings"], values), "configuration": found}
