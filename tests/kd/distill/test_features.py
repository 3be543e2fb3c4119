"""Feature taps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd.distill.features import FeatureTaps
from kd.errors import SpecError
from kd.models.resnet import resnet8


def test_the_declared_features_of_the_latest_pass_are_collected_once() -> None:
    model = resnet8(10, 3, 16, width=4).eval()
    taps = FeatureTaps(model)
    logits = model(torch.randn(2, 3, 16, 16))
    features = taps.collect()
    assert {name: tuple(feature.shape) for name, feature in features.items()} == {
        "stage1": (2, 4, 16, 16),
        "stage2": (2, 8, 8, 8),
        "stage3": (2, 16, 4, 4),
        "stage4": (2, 32, 2, 2),
        "pooled": (2, 32),
    }
    torch.testing.assert_close(model.fc(features["pooled"]), logits)
    assert taps.collect() == {}


def test_removed_taps_keep_nothing() -> None:
    model = resnet8(10, 3, 16, width=4).eval()
    taps = FeatureTaps(model)
    taps.remove()
    model(torch.randn(1, 3, 16, 16))
    assert taps.collect() == {}


def test_a_model_without_declared_taps_is_refused() -> None:
    with pytest.raises(SpecError, match="Linear declares no feature_taps"):
        FeatureTaps(nn.Linear(2, 2))
