"""From a loss to new weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from kd.train.optimizers import sgd
from kd.train.update import Update


def weight() -> nn.Parameter:
    return nn.Parameter(torch.tensor([3.0, 4.0]))


def loss(parameter: Tensor, scale: float = 1.0) -> Tensor:
    """A loss whose gradient is ``scale`` times (3, 4), of norm 5."""
    return scale * (parameter * torch.tensor([3.0, 4.0])).sum()


def test_a_step_goes_down_the_gradient_and_forgets_the_last_one() -> None:
    parameter = weight()
    update = Update(sgd([parameter], lr=1.0, momentum=0.0))
    update(loss(parameter))
    update(loss(parameter))
    assert parameter.tolist() == [3 - 2 * 3, 4 - 2 * 4]


@pytest.mark.parametrize(("clip", "moved"), [(1.0, 1.0), (5.0, 5.0), (100.0, 5.0)])
@pytest.mark.parametrize("scaled", [False, True])
def test_clipping_bounds_the_true_norm_of_all_gradients_together(clip: float, moved: float, scaled: bool) -> None:
    first, second = nn.Parameter(torch.tensor([3.0])), nn.Parameter(torch.tensor([4.0]))
    scaler = GradScaler("cpu") if scaled else None
    update = Update(sgd([first, second], lr=1.0, momentum=0.0), clip=clip, scaler=scaler)
    update(3 * first.sum() + 4 * second.sum())
    steps = torch.stack([3 - first.detach(), 4 - second.detach()])
    assert steps.norm().item() == pytest.approx(moved, rel=1e-5)


def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_lowered() -> None:
    parameter = weight()
    scaler = GradScaler("cpu")
    update = Update(sgd([parameter], lr=1.0, momentum=0.0), scaler=scaler)
    before = scaler.get_scale()
    update(loss(parameter, scale=1e36))
    assert parameter.tolist() == [3.0, 4.0]
    assert scaler.get_scale() == before / 2
    update(loss(parameter))
    assert parameter.tolist() == [0.0, 0.0]


def test_a_first_step_that_overflows_leaves_no_trace_in_the_momentum() -> None:
    parameter = weight()
    fused = torch.optim.SGD([parameter], lr=1.0, momentum=0.5, fused=True)
    update = Update(fused, scaler=GradScaler("cpu"))
    update(loss(parameter, scale=1e36))
    assert fused.state[parameter]["momentum_buffer"].tolist() == [0.0, 0.0]
    update(loss(parameter))
    assert parameter.tolist() == [0.0, 0.0]
