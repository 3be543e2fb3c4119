"""What a person reads where ``deterministic`` cannot be had."""

from __future__ import annotations

import pytest
import torch

from kd.errors import SpecError
from kd.train.determinism import deterministic_operations


def test_an_operation_without_a_deterministic_form_is_named_in_one_line() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(SpecError, match="deterministic: put_ has no") as error, deterministic_operations():
            torch.zeros(2).put_(torch.tensor([0, 0]), torch.ones(2))
    finally:
        torch.use_deterministic_algorithms(False)
    assert "\n" not in str(error.value)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="size"), deterministic_operations():
        torch.zeros(2) + torch.zeros(3)
