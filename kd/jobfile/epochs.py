"""``--epochs N``: every training as long as N epochs, its milestones and its warm-up shortened with it."""

from __future__ import annotations

from typing import Any

from kd.errors import SpecError
from kd.jobfile.overrides import replace
from kd.jobfile.source import Address, Document
from kd.jobfile.stage import stage_kinds


def with_epochs(document: Document, epochs: int) -> Document:
    """Return the document with every training and every search's trials N epochs long.

    Milestones and warm-ups keep their share of the training; milestones that would fall together, or onto its end, go.
    What is no number in the file stays for the schema to refuse. Raises SpecError when ``epochs`` is below 1.
    """
    place = f"--epochs {epochs}"
    if epochs < 1:
        raise SpecError([f"{place}: expected at least 1"])
    stages = document.data.get("stages")
    counting = [kind for kind, model in stage_kinds().items() if "epochs" in model.model_fields]
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if not isinstance(stage, dict) or stage.get("kind") not in counting:
            continue
        before = stage.get("epochs")
        if not isinstance(before, int) or isinstance(before, bool) or before < 1:
            continue
        parts: dict[Address, Any] = {("schedule",): stage.get("schedule"), **_terms(stage.get("loss"))}
        for path, arguments in parts.items():
            for key, value in _shortened(arguments, epochs, before).items():
                document = replace(document, ("stages", name, *path, key), value, place)
        document = replace(document, ("stages", name, "epochs"), epochs, place)
    return document


def _terms(loss: Any) -> dict[Address, Any]:
    """Return the terms of a loss by their address in the stage: some count epochs too (``warmup``)."""
    return {("loss", term): entry for term, entry in loss.items()} if isinstance(loss, dict) else {}


def _shortened(arguments: Any, epochs: int, before: int) -> dict[str, object]:
    """Return the arguments of a schedule or a loss that count epochs, for a training of another length."""
    found: dict[str, object] = {}
    if not isinstance(arguments, dict):
        return found
    milestones = arguments.get("milestones")
    if isinstance(milestones, list) and all(type(milestone) is int for milestone in milestones):
        scaled = dict.fromkeys(max(1, round(milestone * epochs / before)) for milestone in milestones)
        found["milestones"] = [milestone for milestone in scaled if milestone < epochs]
    every = arguments.get("every")
    if type(every) is int:
        found["every"] = max(1, round(every * epochs / before))
    warmup = arguments.get("warmup")
    if isinstance(warmup, (int, float)) and not isinstance(warmup, bool):
        found["warmup"] = round(warmup * epochs / before, 6) if isinstance(warmup, float) else warmup * epochs // before
    return found
