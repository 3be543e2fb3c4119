"""What each of two real processes does for test_distributed and test_batch_norm: prints what it saw as JSON.

``python one_of_two.py RANK PORT``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kd.train.batch_norm import share_batch_norm
from kd.train.distributed import Processes, find_store, joined

COUNT = 2


def network() -> nn.Module:
    """Batch norm over maps and over features, as plain modules."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5)
    )


def whole_batch() -> Tensor:
    """Images far from mean 0, which a careless variance would not survive."""
    return torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1)) + 20


def relational(logits: Tensor) -> Tensor:
    """A loss that compares the samples of a batch with each other."""
    return (logits @ logits.T).softmax(1).square().sum() + logits.square().mean()


def learned(model: nn.Module, images: Tensor, processes: Processes) -> dict[str, Any]:
    """Return loss, gradients and running statistics after one backward pass."""
    loss = relational(processes.gather(model(images)))
    loss.backward()
    processes.average_gradients(model.parameters())
    return {
        "loss": loss.item(),
        "gradients": {name: parameter.grad.tolist() for name, parameter in model.named_parameters()},
        "statistics": {name: buffer.tolist() for name, buffer in model.named_buffers()},
        "evaluated": model.eval()(whole_batch()).tolist(),
    }


def raises(action: Callable[[], object]) -> bool:
    """Whether an action fails an assertion."""
    try:
        action()
    except AssertionError:
        return True
    return False


def main(rank: int, port: int) -> None:
    """Join the other process and report."""
    torch.set_num_threads(1)
    with joined(find_store(port), rank=rank, count=COUNT) as processes:
        total = torch.tensor([1.0 + rank])
        processes.add_up(total)
        nested = {"maps": [torch.full((2, 1), float(rank))], "epoch": 7, "nothing": None}
        seen = {
            "share": processes.share(torch.arange(8)).tolist(),
            "gathered": {
                name: [part.tolist() for part in value] if isinstance(value, list) else value
                for name, value in processes.gather(nested).items()
            },
            "total": total.item(),
            "any": [processes.any(False), processes.any(rank == 1)],
            "unequal": raises(lambda: processes.require_equal(5, rank)),
            "equal": not raises(lambda: processes.require_equal(5, 6)),
            "learned": learned(share_batch_norm(network()), processes.share(whole_batch()), processes),
        }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
