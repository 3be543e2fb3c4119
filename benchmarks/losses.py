"""What each loss costs in a step: forward and backward of the loss alone, beside the outputs of two networks.

The outputs are of the sizes of resnet32x4 and resnet8x4 on CIFAR-100, a batch of 64; the networks themselves are not
run. Processor milliseconds on one thread, the least of several turns, in which another program disturbs least. Run it
as ``python -m benchmarks.losses > kd/losses/costs.py``.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kd import catalog
from kd.losses.builders import BUILDERS

BATCH, CLASSES, IMAGES, TURNS = 64, 100, 50_000, 7
HEAD = '''"""What each loss costs in a step, in milliseconds of a processor: written by ``benchmarks/losses.py``."""

from __future__ import annotations

from collections.abc import Mapping

MILLISECONDS: Mapping[str, float] = {
'''
MAPS = ((64, 32), (128, 16), (256, 8))  # (channels, pixels a side) per stage


def outputs() -> dict[str, Any]:
    """Return everything that a loss can ask for; the student's take gradients."""
    torch.manual_seed(0)

    def maps() -> list[Tensor]:
        return [torch.randn(BATCH, channels, side, side) for channels, side in MAPS]

    found: dict[str, Any] = {
        f"{who}_{what}": make()
        for who in ("student", "teacher")
        for what, make in (
            ("maps", maps),
            ("preactivations", maps),
            ("pooled_BD", lambda: torch.randn(BATCH, MAPS[-1][0])),
            ("logits_BC", lambda: 3 * torch.randn(BATCH, CLASSES)),
            ("logits_BK", lambda: 3 * torch.randn(BATCH, CLASSES)),
        )
    }
    return found | {
        "labels_B": torch.arange(BATCH) % CLASSES,
        "labels_BK": torch.randint(2, (BATCH, CLASSES)),
        "indices_B": torch.arange(BATCH),
        "labels_N": torch.arange(IMAGES) % CLASSES,
        "class_counts_C": torch.full((CLASSES,), IMAGES // CLASSES),
        "label_counts_K2": torch.full((CLASSES, 2), IMAGES // 2),
        "teacher_norms": [(torch.ones(channels), torch.zeros(channels)) for channels, _ in MAPS],
        "epoch": 30,
    }


def step(name: str, seen: dict[str, Any]) -> Callable[[], None]:
    """Return one forward and backward pass of a loss at its defaults."""
    function, inputs = catalog.load("loss", name), catalog.entries("loss")[name].inputs
    given = dict(seen)
    if name in BUILDERS:
        wanted = [p.name for p in inspect.signature(BUILDERS[name]).parameters.values() if p.kind != p.KEYWORD_ONLY]
        given["adapter"] = BUILDERS[name](*(seen[each] for each in wanted))
    ours = [key for key in inputs if key.startswith("student")]
    leaves = [tensor for key in ours for tensor in (seen[key] if isinstance(seen[key], list) else [seen[key]])]

    def run() -> None:
        for leaf in leaves:
            leaf.requires_grad_().grad = None
        function(*(given[key] for key in inputs)).backward()

    return run


def milliseconds(run: Callable[[], None]) -> float:
    """Return the least processor time of a call, after one that is not counted."""
    run()
    taken = []
    for _ in range(TURNS):
        before = time.process_time()
        run()
        taken.append(1000 * (time.process_time() - before))
    return min(taken)


def main() -> int:
    """Print the module ``kd.losses.costs``."""
    torch.set_num_threads(1)
    seen = outputs()
    costs = {name: round(milliseconds(step(name, seen)), 2) for name in sorted(catalog.entries("loss"))}
    sys.stdout.write(HEAD)
    sys.stdout.writelines(f'    "{name}": {cost},\n' for name, cost in costs.items())
    sys.stdout.write("}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
