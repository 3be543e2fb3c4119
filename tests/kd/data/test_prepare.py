"""The command that decodes a data set once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from kd.data.load_arrays import load_arrays
from kd.data.prepare import main
from kd.errors import DataError


def test_the_decoded_file_gives_the_same_data_set(
    tmp_path: Path, tar: Callable[[Mapping[str, bytes]], Path], cifar_tree: dict[str, bytes]
) -> None:
    source, target = tar(cifar_tree), tmp_path / "cifar10.safetensors"
    assert main(["cifar10", str(source), str(target)]) == 0
    decoded, original = load_arrays("cifar10", target, {}), load_arrays("cifar10", source, {})
    assert torch.equal(decoded.train_images, original.train_images)
    assert torch.equal(decoded.test_labels, original.test_labels)


def test_arguments_are_those_of_a_job_file(
    tmp_path: Path, tar: Callable[[Mapping[str, bytes]], Path], cifar_tree: dict[str, bytes]
) -> None:
    target = tmp_path / "mine.safetensors"
    main(["image_folder", str(tar(cifar_tree)), str(target), "--arguments", '{"size": 16, "grey": true}'])
    arrays = load_arrays("image_folder", target, {"size": 16, "grey": True})
    assert arrays.train_images.shape == (20, 1, 16, 16)
    with pytest.raises(DataError, match="holds images of 16 pixels and 1 channels, not 32 and 3"):
        load_arrays("image_folder", target, {"size": 32})


def test_another_ending_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must end in .safetensors"):
        main(["cifar10", str(tmp_path / "gone"), str(tmp_path / "target.npz")])
