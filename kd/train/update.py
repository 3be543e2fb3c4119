"""From a loss to new weights: scaled, averaged over the processes, clipped, stepped."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from kd.train.distributed import ALONE, Processes


class Update:
    """What follows a forward pass. ``clip`` is the largest norm that all gradients together may have.

    With a ``scaler`` (float16) the loss is multiplied before the backward pass so that small gradients survive, and a
    step whose gradients overflow is left out (arXiv:1710.03740); clipping sees the true gradients.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        clip: float | None = None,
        scaler: GradScaler | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self._optimizer, self._clip, self._scaler, self._processes = optimizer, clip, scaler, processes

    def __call__(self, loss: Tensor) -> None:
        """Do one step down the gradient of a loss (a scalar)."""
        self.begin()
        self.backward(loss)
        self.step()

    def begin(self) -> None:
        """Forget the gradients of the step before."""
        self._optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss (a scalar) to those of this step."""
        if self._scaler is not None:
            loss = self._scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Do one step down the gradients that were added up."""
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        self._processes.average_gradients(parameters)
        if self._clip is not None:
            if self._scaler is not None:
                self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(parameters, self._clip)
        if self._scaler is None:
            self._optimizer.step()
        else:
            _begin_momentum(self._optimizer)
            self._scaler.step(self._optimizer)
            self._scaler.update()


def _begin_momentum(optimizer: Optimizer) -> None:
    """Let momentum that there is none of yet begin at zero, which is what a first step begins with.

    torch's fused SGD makes room for it in the first step, and leaves it unwritten where that step overflows (2.11).
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("momentum") else ():
            state = optimizer.state[parameter]
            if parameter.grad is not None and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
