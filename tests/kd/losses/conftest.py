"""What the tests of all losses share: made-up networks' outputs, and calling a loss by its name."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kd import catalog
from kd.losses.builders import BUILDERS

IMAGES = 40  # training images, as far as a loss remembers them
STUDENT_MAPS = ((4, 8), (6, 4), (8, 2))  # (channels, height and width) per stage
TEACHER_MAPS = ((5, 8), (7, 3), (9, 4))  # equal, not a divisor, larger
TEACHER_NORMS = [(torch.linspace(-1, 2.1, width), torch.linspace(4, -2, width)) for width, _ in TEACHER_MAPS]


def outputs(
    seed: int = 0, *, batch: int = 5, classes: int = 7, scale: float = 3.0, dtype=torch.float64
) -> dict[str, Any]:
    """Return everything a loss can ask for; only the student's part is a function of the seed and takes gradients."""
    ours, theirs = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)

    def draw(generator: torch.Generator, *shape: int) -> Tensor:
        return (scale * torch.randn(batch, *shape, generator=generator, dtype=torch.float64)).to(dtype)

    return {
        "student_logits_BC": draw(ours, classes).requires_grad_(),
        "student_maps": [draw(ours, width, side, side).requires_grad_() for width, side in STUDENT_MAPS],
        "student_pooled_BD": draw(ours, 8).requires_grad_(),
        "teacher_logits_BC": draw(theirs, classes),
        "teacher_maps": [draw(theirs, width, side, side) for width, side in TEACHER_MAPS],
        "teacher_pooled_BD": draw(theirs, 10),
        "student_preactivations": [draw(ours, width, side, side).requires_grad_() for width, side in STUDENT_MAPS],
        "teacher_preactivations": [draw(theirs, width, side, side) for width, side in TEACHER_MAPS],
        "teacher_norms": TEACHER_NORMS,
        "labels_B": torch.arange(batch) % classes,
        "indices_B": torch.arange(batch) * 3,
        "labels_N": torch.arange(IMAGES) // 3 % classes,  # image 3 b is of class b
        "epoch": 3,
        "student_logits_BK": draw(ours, classes).requires_grad_(),
        "teacher_logits_BK": draw(theirs, classes),
        "class_counts_C": torch.arange(classes) ** 2 + 1,
        "label_counts_K2": torch.stack([torch.arange(classes) + 5, torch.arange(classes) ** 2 + 1], 1),
        "labels_BK": (torch.arange(batch)[:, None] >> torch.arange(classes)[None]) & 1,
    }


def mask(channels: int, blanked: float) -> Tensor:
    """Return which channels are kept: all but the first ones."""
    return torch.arange(channels) >= round(blanked * channels)


class Loss:
    """One loss of the catalogue with its adapter, as an objective would call it."""

    def __init__(self, name: str, given: dict[str, Any], arguments: dict[str, Any]) -> None:
        self._function, self._arguments = catalog.load("loss", name), arguments
        self.inputs = catalog.entries("loss")[name].inputs
        self.adapter: nn.Module | None = None
        if "adapter" in self.inputs:
            torch.manual_seed(5)
            self.adapter = build(name, given, arguments).to(given["student_pooled_BD"].dtype)
        if name == "crd":  # the same negatives for an image at every call
            self.drawn = self.adapter.draw(torch.arange(IMAGES), arguments.get("negatives", 16384))
            self.adapter.draw = lambda indices, negatives: self.drawn[indices]
        if name == "mgd":  # the same mask for every image at every call
            self.adapter.mask = lambda maps, blanked: mask(maps.shape[1], blanked).to(maps.dtype)[None, :, None, None]

    def __call__(self, given: dict[str, Any], adapter: nn.Module | None = None) -> Tensor:
        """Return the loss, with a copy of the adapter if none is given: some change when they are used."""
        owned = {"adapter": adapter or copy.deepcopy(self.adapter)}
        if self._function.__name__ == "fsp":  # for networks of equal widths
            pairs = zip(given["student_maps"], given["teacher_maps"], strict=True)
            owned["teacher_maps"] = [theirs[:, : ours.shape[1]] for ours, theirs in pairs]
        return self._function(*((given | owned)[name] for name in self.inputs), **self._arguments)

    def students(self, given: dict[str, Any]) -> list[Tensor]:
        """Return the student's tensors that this loss takes."""
        return self._tensors(given, "student")

    def teachers(self, given: dict[str, Any]) -> list[Tensor]:
        """Return the teacher's tensors that this loss takes."""
        return self._tensors(given, "teacher")

    def _tensors(self, given: dict[str, Any], who: str) -> list[Tensor]:
        found = [given[name] for name in self.inputs if name.startswith(who)]
        return [tensor for value in found for tensor in (value if isinstance(value, list) else [value])]


def build(name: str, given: dict[str, Any], arguments: dict[str, Any]) -> nn.Module:
    """Return the adapter of a loss for such outputs."""
    parameters = inspect.signature(BUILDERS[name]).parameters.values()
    wanted = [given[p.name] for p in parameters if p.kind is not p.KEYWORD_ONLY]
    return BUILDERS[name](*wanted, **{p.name: arguments[p.name] for p in parameters if p.name in arguments})


@pytest.fixture
def make_loss() -> Callable[..., Loss]:
    def make(name: str, given: dict[str, Any], **arguments: Any) -> Loss:
        return Loss(name, given, arguments)

    return make


@pytest.fixture
def given() -> Callable[..., dict[str, Any]]:
    return outputs
