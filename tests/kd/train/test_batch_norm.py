"""Batch norm over several processes: what it replaces. What it computes, test_distributed compares with one process."""

from __future__ import annotations

import pytest
from torch import nn

from kd.errors import SpecError
from kd.train.batch_norm import SharedBatchNorm, share_batch_norm
from tests.kd.train import one_of_two


def test_shared_batch_norm_keeps_names_and_tensors() -> None:
    model = one_of_two.network()
    before = dict(model.state_dict(keep_vars=True))
    share_batch_norm(model)
    assert isinstance(model[1], SharedBatchNorm)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is value for name, value in before.items())


def test_an_unknown_kind_of_batch_norm_is_refused_and_other_norms_are_left_alone() -> None:
    with pytest.raises(SpecError, match="BatchNorm3d cannot be trained by several processes"):
        share_batch_norm(nn.Sequential(nn.BatchNorm3d(2)))
    share_batch_norm(nn.Sequential(nn.LayerNorm(2), nn.GroupNorm(1, 2)))
