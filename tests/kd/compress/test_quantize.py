"""Int8 files: really int8, small, near the float32 network, equal when read again."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn

from kd.compress.int8_check import NotInt8, check_int8
from kd.compress.onnx_model import OnnxModel
from kd.compress.portable_files import export_onnx
from kd.compress.quantize import dynamic_int8, static_int8
from kd.errors import DataError, UserError
from kd.evaluate.measure import measure

LAYERS = 13  # nine convolutions, three shortcuts, the classifier
METADATA = {"kd": '{"name": "resnet8"}'}


@pytest.fixture(scope="module")
def folder(network: nn.Module, images: Tensor, tmp_path_factory) -> Path:
    """float.onnx, static.onnx and dynamic.onnx of one network."""
    folder = tmp_path_factory.mktemp("int8")
    export_onnx(network, images, folder / "float.onnx", metadata=METADATA)
    share = static_int8(network, images.split(8), folder / "static.onnx", metadata=METADATA)
    assert share.layers == LAYERS
    assert share.share > 0.95
    share = dynamic_int8(network, images[0], folder / "dynamic.onnx", metadata=METADATA)
    assert share.layers == LAYERS
    return folder


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_int8_stays_near_float32(kind: str, folder: Path, network: nn.Module, images: Tensor) -> None:
    with torch.no_grad():
        expected = network(images)
    found = OnnxModel(folder / f"{kind}.onnx")(images)
    error = (found - expected).norm() / expected.norm()
    assert 0 < error < 0.1  # 0 would be float32
    assert float((found.argmax(1) == expected.argmax(1)).float().mean()) > 0.9


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_weights_take_a_quarter_and_batch_norm_is_folded(kind: str, folder: Path) -> None:
    proto = onnx.load(folder / f"{kind}.onnx")
    types = {tensor.data_type for tensor in proto.graph.initializer if len(tensor.dims) == 4}
    assert types == {onnx.TensorProto.INT8}
    assert "BatchNormalization" not in {node.op_type for node in proto.graph.node}


def test_a_file_read_again_measures_the_same(folder: Path, images: Tensor) -> None:
    labels = torch.arange(len(images)) % 5
    batches = [(images[:20], labels[:20]), (images[20:], labels[20:])]
    first, second = (
        measure(OnnxModel(folder / "static.onnx"), batches, num_classes=5, device=torch.device("cpu")) for _ in range(2)
    )
    assert first == second
    assert OnnxModel(folder / "static.onnx").metadata == METADATA


def test_equal_networks_and_images_give_equal_bytes(
    folder: Path, network: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    static_int8(network, images.split(8), tmp_path / "again.onnx", metadata=METADATA)
    assert (tmp_path / "again.onnx").read_bytes() == (folder / "static.onnx").read_bytes()


def test_only_so_many_batches_are_read(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    read: list[int] = []

    def batches():
        for number, batch in enumerate(images.split(4)):
            read.append(number)
            yield batch

    static_int8(network, batches(), tmp_path / "static.onnx", batches=3)
    assert read == [0, 1, 2]


@pytest.mark.parametrize("calibration", [[], [torch.zeros(0, 3, 16, 16)]])
def test_an_empty_calibration_set_is_refused(calibration: list[Tensor], network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="calibration set is empty"):
        static_int8(network, calibration, tmp_path / "static.onnx")
    assert list(tmp_path.iterdir()) == []


def test_float32_is_not_taken_for_int8(folder: Path) -> None:
    with pytest.raises(NotInt8, match=r"float.onnx: not int8: the weights of Conv '.*' are still float32"):
        check_int8(folder / "float.onnx", static=True)


def test_one_layer_left_in_float32_is_found(folder: Path, tmp_path: Path) -> None:
    """The weights of the classifier are put back to float32, as a quantizer that does not know a layer leaves it."""
    proto = onnx.load(folder / "static.onnx")
    gemm = next(node for node in proto.graph.node if node.op_type == "Gemm")
    stored = onnx.numpy_helper.from_array(torch.randn(5, 64).numpy(), "float_weights")
    proto.graph.initializer.append(stored)
    gemm.input[1] = "float_weights"
    onnx.save(proto, tmp_path / "mixed.onnx")
    with pytest.raises(NotInt8, match="Gemm 'float_weights'"):
        check_int8(tmp_path / "mixed.onnx", static=True)


def test_int8_weights_that_would_run_in_float32_are_found(folder: Path) -> None:
    """Weights alone do not make it int8: without quantized activations the runtime multiplies in float32."""
    proto = onnx.load(folder / "static.onnx")
    made_by = {output: node for node in proto.graph.node for output in node.output}
    for node in proto.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            node.input[0] = made_by[made_by[node.input[0]].input[0]].input[0]
    onnx.save(proto, folder / "weights_only.onnx")
    with pytest.raises(NotInt8, match="would run in float32"):
        check_int8(folder / "weights_only.onnx", static=True)


def test_a_network_without_layers_is_not_int8(tmp_path: Path) -> None:
    with pytest.raises(NotInt8, match="no layer with int8 weights"):
        static_int8(nn.Flatten(), [torch.randn(4, 1, 2, 2)], tmp_path / "flat.onnx")


def test_modules_that_are_named_stay_in_float32_and_no_others(
    network: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.onnx"
    share = static_int8(network, images.split(8), path, float32=["conv1", "fc"])
    assert share.layers == LAYERS - 2
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert stored["fc.weight"] == stored["conv1.weight"] == onnx.TensorProto.FLOAT
    with torch.no_grad():
        expected = network(images)
    assert (OnnxModel(path)(images) - expected).norm() / expected.norm() < 0.1
    with pytest.raises(NotInt8, match="still float32"):
        check_int8(path, static=True)


def test_a_module_that_is_not_there_is_named_with_the_nearest(
    network: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError, match=r"^float32: no layer 'conv2' in the exported network \(did you mean 'conv1'\?\)$"
    ):
        static_int8(network, images.split(8), tmp_path / "mixed.onnx", float32=["conv2"])
