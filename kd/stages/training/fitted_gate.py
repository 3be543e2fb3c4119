"""A stage's gate over its teachers: fitted once, stored beside the checkpoints, and read from there afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kd.data.hashing import stream_key
from kd.distill.gate import Gate
from kd.files import atomic_path
from kd.rundir.folders import GATE
from kd.rundir.result_sections import GateFit
from kd.stages.context import StageContext
from kd.train.distributed import Processes

_CARD_KEY = "kd"


class _GateCard(msgspec.Struct, frozen=True, kw_only=True):
    """The card in a gate's file: the fingerprint of the stage that fitted it, and how well it fits."""

    fingerprint: str
    fit: GateFit


def fit_once(
    gate: Gate,
    context: StageContext,
    held_out: Sequence[Callable[[], Tensor]],
    labels_N: Tensor,
    processes: Processes,
    *,
    fingerprint: str,
    seed: int,
) -> None:
    """Give ``gate`` the weights that this stage fitted before, or fit it to the teachers' logits and keep it.

    ``held_out`` gives each teacher's logits [N, C] of the held-out images. The first process fits, and the others
    read the file that it wrote.
    """
    if processes.rank == 0 and not _load(gate, context.work / GATE, fingerprint):
        logits_NMC = torch.stack([logits() for logits in held_out], dim=1)
        outcome = gate.fit(logits_NMC, labels_N, seed=stream_key("gate", seed))
        _save(gate, context.work / GATE, _GateCard(fingerprint=fingerprint, fit=GateFit(**outcome._asdict())))
        context.publish([GATE])
    processes.any(False)  # the others wait here until the file is there
    if processes.rank:
        loaded = _load(gate, context.work / GATE, fingerprint)
        assert loaded, f"{context.work / GATE}: not there"


def published_gate(context: StageContext, fingerprint: str) -> tuple[GateFit | None, dict[str, str]]:
    """Publish a stage's gate; return how well it fits and its file's SHA-256, or nothing where there is no gate."""
    card = _card(context.work / GATE)
    if card is None or card.fingerprint != fingerprint:
        return None, {}
    return card.fit, context.publish([GATE])


def _save(gate: Gate, path: Path, card: _GateCard) -> None:
    with atomic_path(path) as temporary:
        weights = {name: tensor.contiguous() for name, tensor in gate.state_dict().items()}
        save_file(weights, temporary, metadata={_CARD_KEY: json.dumps(msgspec.to_builtins(card), sort_keys=True)})


def _load(gate: Gate, path: Path, fingerprint: str) -> bool:
    """Load a gate of this very stage; return False where there is none, or a damaged one, or another stage's."""
    card = _card(path)
    if card is None or card.fingerprint != fingerprint:
        return False
    with safe_open(path, framework="pt") as file:
        gate.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
    gate.requires_grad_(False)
    return True


def _card(path: Path) -> _GateCard | None:
    try:
        with safe_open(path, framework="pt") as file:
            return msgspec.json.decode((file.metadata() or {})[_CARD_KEY], type=_GateCard)
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
