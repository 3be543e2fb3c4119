"""Files of weights as training scripts write them: what is found in them, what is refused, and that nothing is run."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kd.errors import CheckpointError
from kd.models.weight_files import PLACES, read_foreign_weights

WEIGHTS = {"conv.weight": torch.arange(18.0).view(2, 1, 3, 3), "conv.bias": torch.ones(2)}


def saved(folder: Path, content: object) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


def require_equal(found: dict[str, Tensor]) -> None:
    assert set(found) == set(WEIGHTS)
    for name, tensor in found.items():
        assert torch.equal(tensor, WEIGHTS[name])
        assert not tensor.requires_grad


@pytest.mark.parametrize("key", PLACES)
def test_weights_under_the_usual_keys_are_found(key: str, tmp_path: Path) -> None:
    read = read_foreign_weights(saved(tmp_path, {"epoch": 3, key: WEIGHTS, "optimizer": {"state": {}, "lr": 0.1}}))
    require_equal(read.tensors)
    assert read.place == (key,)


def test_plain_and_doubly_nested_weights_are_found(tmp_path: Path) -> None:
    assert read_foreign_weights(saved(tmp_path, WEIGHTS)).place == ()
    nested = read_foreign_weights(saved(tmp_path, {"state_dict": {"model": WEIGHTS}}))
    require_equal(nested.tensors)
    assert nested.place == ("state_dict", "model")


def test_an_average_is_taken_before_the_weights_it_is_of_unless_it_is_empty(tmp_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in WEIGHTS.items()}
    require_equal(
        read_foreign_weights(saved(tmp_path, {"state_dict": other, "state_dict_ema": WEIGHTS})).tensors,
    )
    require_equal(read_foreign_weights(saved(tmp_path, {"state_dict": WEIGHTS, "state_dict_ema": None})).tensors)


def test_safetensors_half_precision_and_parameters_are_read_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({name: tensor.half() for name, tensor in WEIGHTS.items()}, path)
    require_equal(read_foreign_weights(path).tensors)
    halves = {name: nn.Parameter(tensor.bfloat16()) for name, tensor in WEIGHTS.items()}
    read = read_foreign_weights(saved(tmp_path, halves)).tensors
    require_equal(read)
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}


def test_whole_numbers_keep_their_type(tmp_path: Path) -> None:
    path = saved(tmp_path, {"bn.num_batches_tracked": torch.tensor(7)})
    assert read_foreign_weights(path).tensors["bn.num_batches_tracked"].dtype == torch.int64


def test_what_timms_training_script_saves_is_read(tmp_path: Path) -> None:
    scalars = [np.float64(90.5), np.float32(1), np.float16(1), np.int64(3), np.bool_(True)]
    arguments = argparse.Namespace(lr=0.1, betas=(0.9, 0.99), model="resnet18", resume=None)
    content = {"epoch": 9, "arch": "resnet18", "state_dict": WEIGHTS, "args": arguments, "metric": scalars}
    require_equal(read_foreign_weights(saved(tmp_path, content)).tensors)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        read_foreign_weights(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_whole_network_is_refused_with_its_class_and_the_remedy(tmp_path: Path) -> None:
    said = refusal(saved(tmp_path, {"model": nn.Sequential(nn.Linear(2, 2))}))
    assert "torch.nn.modules.container.Sequential" in said
    assert "torch.save(model.state_dict(), FILE)" in said


class Hostile:
    """Opens a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("place", ["alone", "beside", "inside the arguments"])
def test_nothing_in_a_file_is_run(place: str, tmp_path: Path) -> None:
    trap = Hostile(tmp_path / "ran")
    content = {
        "alone": trap,
        "beside": {"state_dict": WEIGHTS, "metric": trap},
        "inside the arguments": {"state_dict": WEIGHTS, "args": argparse.Namespace(trap=trap)},
    }[place]
    assert "open" in refusal(saved(tmp_path, content))
    assert not trap.path.exists()


def test_what_is_no_mapping_of_tensors_is_refused_with_the_keys_found(tmp_path: Path) -> None:
    assert "one list" in refusal(saved(tmp_path, [1, 2]))
    assert "empty" in refusal(saved(tmp_path, {}))
    said = refusal(saved(tmp_path, {"epoch": 3, "weights": WEIGHTS}))
    assert "its keys are epoch, weights" in said
    assert "state_dict_ema" in said
    assert "beside tensors there is epoch" in refusal(saved(tmp_path, {**WEIGHTS, "epoch": 3}))


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\x00\x01\x02", "damaged"),
        (b"", "damaged"),
    ],
)
@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_what_is_no_file_of_weights_is_called_what_it_is(name: str, content: bytes, cause: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert cause in refusal(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.ones(2, device="meta"), "conv.bias is on the device 'meta' and has no values"),
        (torch.ones(2).to_sparse(), "conv.bias is quantised, complex or sparse; save real numbers in a dense tensor"),
        (torch.ones(2, dtype=torch.complex64), "conv.bias is quantised, complex or sparse"),
        (torch.tensor([1.0, torch.nan]), "conv.bias holds NaN: its training diverged"),
    ],
)
def test_tensors_that_can_be_no_weights_are_refused_by_name(tensor: Tensor, said: str, tmp_path: Path) -> None:
    assert said in refusal(saved(tmp_path, {"state_dict": {**WEIGHTS, "conv.bias": tensor}}))


def test_numpy_arrays_are_refused_with_the_way_to_save_them(tmp_path: Path) -> None:
    arrays = {name: tensor.numpy() for name, tensor in WEIGHTS.items()}
    assert "it holds NumPy arrays; save tensors: torch.save({name: torch.from_numpy(a)" in refusal(
        saved(tmp_path, arrays)
    )
