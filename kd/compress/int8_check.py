"""Is a file that calls itself int8 really int8? Read from its weights, and from the operators that will run.

A quantizer leaves out what it does not know, and a runtime falls back to float32, both without a word.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from kd.errors import UserError, did_you_mean

# Operators that multiply by weights, as a file or as ONNX Runtime's optimizer names them. In float32 if they still
# bear these names.
FLOAT_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"})
_DATA, _WEIGHT = 0, 1  # inputs of such an operator


class NotInt8(UserError):
    """A network that was to be int8 is not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Share:
    """Layers whose weights are int8, and how many of the file's stored numbers they hold, from 0 to 1."""

    layers: int
    share: float


def check_int8(path: Path, *, static: bool, float32: Collection[str] = ()) -> Int8Share:
    """Return how much of a file is int8; the layers whose weights ``float32`` names are meant to be otherwise.

    Raises NotInt8 naming the first other layer with float32 weights or, if ``static``, one that would run in float32.
    """
    import onnx

    proto = onnx.load(path)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    made_by = {output: node for node in proto.graph.node for output in node.output}
    layers = set()
    for node, weight in _layers(proto.graph, stored, made_by):
        if weight.name in float32:
            continue
        if weight.data_type != onnx.TensorProto.INT8:
            raise NotInt8(f"{path}: not int8: the weights of {node.op_type} '{weight.name}' are still float32")
        layers.add(weight.name)
    if not layers:
        raise NotInt8(f"{path}: not int8: it has no layer with int8 weights")
    if static:
        _check_operators(path, len(float32))
    numbers = {name: prod(tensor.dims) for name, tensor in stored.items()}
    return Int8Share(layers=len(layers), share=sum(numbers[name] for name in layers) / sum(numbers.values()))


def _layers(graph: Any, stored: Mapping[str, Any], made_by: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (operator, stored weight) of every layer, looking through a dequantization of the weight."""
    for node in graph.node:
        if node.op_type not in FLOAT_LAYERS and not node.op_type.endswith("Integer"):
            continue
        name = node.input[_WEIGHT]
        if name in made_by and made_by[name].op_type == "DequantizeLinear":
            name = made_by[name].input[_DATA]
        if name in stored:  # otherwise two activations are multiplied, as in attention
            yield node, stored[name]


def weights_of(path: Path, layers: Sequence[str]) -> dict[str, str]:
    """Return node -> the name of its weight, for the layers of a float32 file that lie in modules of these paths.

    Raises UserError, with the nearest name, when a path is that of no layer.
    """
    import onnx

    graph = onnx.load(path).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    found = {node.name: weight.name for node, weight in _layers(graph, stored, {})}
    modules = {name.rpartition(".")[0] for name in found.values() if "." in name}
    inside = {layer: [each for each in modules if f"{each}.".startswith(f"{layer}.")] for layer in layers}
    for layer, those in inside.items():
        if not those:
            near = did_you_mean(layer, sorted(modules))
            raise UserError(f"float32: no layer '{layer}' in the exported network{near}")
    kept = {f"{module}.weight" for those in inside.values() for module in those}
    return {node: weight for node, weight in found.items() if weight in kept}


def _check_operators(path: Path, float32: int) -> None:
    """Raise NotInt8 when the runtime's own form of a network multiplies by more than so many weights in float32."""
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder, "optimized.onnx")
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(optimized)
        options.intra_op_num_threads = 1
        options.log_severity_level = 3  # errors
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        graph = onnx.load(optimized).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {output: node for node in graph.node for output in node.output}
    floats = [(node, weight) for node, weight in _layers(graph, stored, made_by) if node.op_type in FLOAT_LAYERS]
    if len(floats) > float32:
        node, weight = floats[0]
        raise NotInt8(f"{path}: not int8: {node.op_type} '{weight.name}' would run in float32")
