"""A stage's gate over its teachers: fitted once, kept beside the checkpoints, and read from there ever after."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kd.data.hashing import stream_key
from kd.distill.gate import Gate
from kd.files import atomic_path
from kd.stages.context import StageContext
from kd.train.distributed import Processes

GATE = "checkpoint/gate.safetensors"
_CARD_KEY = "kd"


def fitted(
    gate: Gate,
    context: StageContext,
    spec: Mapping[str, Any],
    held_out: Sequence[Callable[[], Tensor]],
    labels_N: Tensor,
    processes: Processes,
) -> None:
    """Give ``gate`` the weights that this stage fitted before, or fit it to the teachers' logits and keep it.

    ``held_out`` gives each teacher's logits [N, C] of the held-out images. Of several processes the first fits, and
    the others read what it kept.
    """
    if processes.rank == 0 and not _load(gate, context.work / GATE, spec["fingerprint"]):
        logits_NMC = torch.stack([logits() for logits in held_out], dim=1)
        outcome = gate.fit(logits_NMC, labels_N, seed=stream_key("gate", spec["seed"]))
        _save(gate, context.work / GATE, {"fingerprint": spec["fingerprint"], "fit": outcome._asdict()})
        context.publish([GATE])
    processes.any(False)  # the others wait here until the file is there
    if processes.rank:
        loaded = _load(gate, context.work / GATE, spec["fingerprint"])
        assert loaded, f"{context.work / GATE}: not there"


def gate_outcome(context: StageContext, spec: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a gate adds to the entries of ``result``: its file, and how it fits; nothing where there is none."""
    card = _card(context.work / GATE)
    if context.member is not None or card is None or card.get("fingerprint") != spec["fingerprint"]:
        return {}
    return {"gate": card["fit"], "files": {**result["files"], **context.publish([GATE])}}


def _save(gate: Gate, path: Path, card: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        weights = {name: tensor.contiguous() for name, tensor in gate.state_dict().items()}
        save_file(weights, temporary, metadata={_CARD_KEY: json.dumps(card, sort_keys=True)})


def _load(gate: Gate, path: Path, fingerprint: str) -> bool:
    """Load a gate of this very stage; return False where there is none, or a damaged one, or another stage's."""
    card = _card(path)
    if card is None or card.get("fingerprint") != fingerprint:
        return False
    with safe_open(path, framework="pt") as file:
        gate.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
    gate.requires_grad_(False)
    return True


def _card(path: Path) -> dict[str, Any] | None:
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {})[_CARD_KEY])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return card if isinstance(card, dict) else None
