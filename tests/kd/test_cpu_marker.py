"""What the marker ``cpu`` promises."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def visible() -> str | None:
    """What a fixture that outlives a test sees of the GPUs."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.cpu
def test_gpus_are_hidden_from_the_fixtures_of_a_module_too(visible: str | None) -> None:
    assert visible == ""


def test_they_are_back_afterwards() -> None:
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != ""
