"""Inside a training step nothing waits for the device: for every loss and option, counted without a GPU.

Steps run on torch's meta device, whose tensors have a shape and no numbers: whatever asks for a number, or for a shape
that depends on numbers, fails there. Copies from the host, and checks that torch makes of numbers by itself on a GPU,
do not fail; they are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.whole_step import WholeStep
from kd.catalog import entries
from kd.compress.fake_int8 import prepare, round_weights
from kd.data.mixing import Mixing
from kd.data.recipe import Recipe
from kd.losses import adapters, draws
from kd.train.device import Runtime

META = Runtime(device=torch.device("meta"), multiplication=torch.float32, description="no numbers")
KD = {"ce": 0.5, "kd": 0.5}
OF_LABELS = ("balanced_bce", "bce", "binary_kd")


class Waits(TorchDispatchMode):
    """Records what a GPU would make the host wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __enter__(self) -> Waits:
        self._made_of_python = MadeOfPython(self.found)
        self._made_of_python.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._made_of_python.__exit__(*error)

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        made = function(*arguments, **(more or {}))
        name = function._schema.name
        devices = {leaf.device.type for leaf in tree_leaves((arguments, more, made)) if isinstance(leaf, torch.Tensor)}
        if (name in COPIES and len(devices) > 1) or (name in OF_UNKNOWN_LENGTH and "meta" in devices):
            self.found.append(name)
        return made


COPIES = ("aten::_to_copy", "aten::copy_", "aten::index", "aten::index_put_", "aten::index_select")
OF_UNKNOWN_LENGTH = ("aten::bincount", "aten::masked_select", "aten::_unique2", "aten::repeat_interleave")


class MadeOfPython(TorchFunctionMode):
    """Records tensors that Python's numbers are copied into, which the meta device leaves out without a word."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), more: Any = None) -> Any:
        made = function(*arguments, **(more or {}))
        if function in (torch.tensor, torch.as_tensor, torch.asarray) and made.is_meta:
            self._found.append("torch.tensor")
        if function in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and arguments[0].is_meta:
            indices = arguments[1] if isinstance(arguments[1], tuple) else (arguments[1],)
            self._found.extend("a list as an index" for index in indices if isinstance(index, list))
        return made


@pytest.fixture(autouse=True)
def what_the_meta_device_lacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Random numbers drawn on the device, which on a GPU do not wait, and rounding to int8."""

    class Torch:
        Generator = staticmethod(lambda device: torch.Generator())
        rand = staticmethod(lambda *shape, device, generator: torch.empty(*shape, device=device))

        def __getattr__(self, name: str) -> Any:
            return getattr(torch, name)

    def rounded(values: torch.Tensor, scale: Any, zero: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.empty_like(values), torch.empty_like(values, dtype=torch.bool)

    def rounded_by_channel(values: torch.Tensor, scale: Any, zero: torch.Tensor, *rest: Any) -> Any:
        if not zero.is_floating_point():  # torch compares integers with their limits, on the host
            zero.min().item()
        return rounded(values, scale, zero)

    monkeypatch.setattr(adapters, "torch", Torch())
    monkeypatch.setattr(draws, "torch", Torch())
    library = torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_fake_quantize_per_tensor_affine_cachemask_tensor_qparams", rounded)
    library.impl("fake_quantize_per_channel_affine_cachemask", rounded_by_channel)
    yield
    library._destroy()


def waits(terms: dict[str, float], **options: Any) -> list[str]:
    """Return what the second step of a training waits for; the first may set things up."""
    steps = WholeStep(
        terms, META, **{"batch": 16, "count": 64, "size": 16, "student": "resnet8", "teacher": "resnet8", **options}
    )
    steps.step()
    with Waits() as found:
        steps.step()
    return found.found


@pytest.mark.parametrize("loss", sorted(entries("loss")))
def test_no_loss_waits(loss: str) -> None:
    others = {"bce": 1.0} if loss in OF_LABELS else {"ce": 1.0}
    assert waits({**others, loss: 0.5}) == []


OPTIONS: dict[str, dict[str, Any]] = {
    "mixup": {"mixing": Mixing(mixup=0.2)},
    "cutmix": {"mixing": Mixing(cutmix=1.0)},
    "cutout": {"cutout": 4},
    "every change of a recipe": {
        "recipe": Recipe(resized_crop=0.08, color_jitter=0.4, trivial_augment=True, rand_augment=9, erase=0.25)
    },
    "ema": {"ema": True},
    "clip": {"clip": 1.0},
    "adamw": {"optimizer": "adamw"},
    "adam": {"optimizer": "adam"},
    "cached teacher": {"cached": True},
    "two cached teachers": {"cached": True, "teachers": 2},
    "two teachers, uniform": {"teachers": 2},
    "two teachers, fixed": {"teachers": 2, "weighting": "fixed", "weights": {"shares": [1.0, 2.0]}},
    "two teachers, entropy": {"teachers": 2, "weighting": "entropy"},
    "two teachers, label": {"teachers": 2, "weighting": "label"},
    "teacher of all modalities": {"privileged": True},
    "teacher of infrared": {"privileged": True, "teacher_sees": ("ir",)},
    "vit6": {"student": "vit6", "teacher": "vit6"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_no_option_waits(name: str) -> None:
    assert waits(KD, **OPTIONS[name]) == []


def test_training_with_the_rounding_of_int8_does_not_wait() -> None:
    steps = WholeStep({"ce": 1.0}, META, student="resnet8", batch=16, count=64, size=16)
    steps.model = prepare(steps.model)
    steps.step()
    with Waits() as found:
        steps.step()
    assert found.found == []


def test_a_zero_point_of_either_type_gives_the_same_bits() -> None:
    weights = torch.randn(3, 40)
    scale, zero = weights.abs().amax(1) / 127, torch.zeros(3, dtype=torch.int32)
    integer = torch.fake_quantize_per_channel_affine(weights, scale, zero, 0, -127, 127)
    assert torch.equal(round_weights(weights), integer)


WAITS: dict[str, Callable[[torch.Tensor], object]] = {
    "a copy": lambda values: values + torch.tensor([1.0, 2.0]).to("meta"),
    "numbers of Python": lambda values: torch.tensor([1.0], device="meta"),
    "a list as an index": lambda values: values[[0]],
    "an index of the host": lambda values: values[torch.tensor([0])],
    "an unknown length": lambda values: torch.bincount(values.long()),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_is_found(name: str) -> None:
    with Waits() as found:
        try:
            WAITS[name](torch.zeros(2, device="meta"))
        except (NotImplementedError, RuntimeError):  # no numbers, no answer
            found.found.append("refused")
    assert found.found


@pytest.mark.parametrize("ask", [float, bool, torch.Tensor.cpu, torch.nonzero, lambda values: values[values > 0]])
def test_a_number_that_is_asked_for_is_refused(ask: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises((NotImplementedError, RuntimeError)):
        ask(torch.zeros((), device="meta"))
