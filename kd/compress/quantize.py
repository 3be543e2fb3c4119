"""Int8 networks: weights and the arithmetic of convolutions and linear layers in 8 bits, as one ONNX file.

Static: the range of every activation is measured once, on calibration images, then fixed (Jacob et al. 2018,
arXiv:1712.05877). Dynamic: ranges are measured anew for every input; needs no images. Weights have one scale per output
channel, activations one scale each. Why ONNX Runtime: docs/decisions/0005-int8-backend.md. Training for int8 is in
``kd.compress.fake_int8``; its result is written here as well.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kd.compress.int8_check import Int8Share, check_int8, weights_of
from kd.compress.onnx_model import INPUT, without_notes, write_onnx
from kd.errors import DataError
from kd.files import atomic_path

CALIBRATION_BATCHES = 100


def static_int8(
    model: nn.Module,
    calibration: Iterable[Tensor],
    path: Path,
    *,
    batches: int = CALIBRATION_BATCHES,
    float32: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> Int8Share:
    """Write a network as an int8 file, its activations calibrated on at most so many batches.

    ``calibration`` yields normalised training images [B, C, H, W]. Batch norm and ReLU are folded into convolutions.
    ``float32`` are paths of modules whose layers stay in float32: mixed precision.
    Raises DataError when there is no calibration image, NotInt8 when the file would not compute in int8.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    images = [batch.detach().float().cpu().contiguous() for batch in islice(calibration, batches) if len(batch)]
    if not images:
        raise DataError("the calibration set is empty; static int8 needs at least one batch of training images")
    with _float_file(model, images[0][0]) as source, atomic_path(path) as target:
        kept = weights_of(source, float32)
        quantize_static(
            source,
            target,
            _reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=list(kept),
        )
        return _finish(target, metadata, static=True, float32=set(kept.values()))


def dynamic_int8(
    model: nn.Module, image_CHW: Tensor, path: Path, *, metadata: Mapping[str, str] | None = None
) -> Int8Share:
    """Write a network as a file with int8 weights, whose activations are brought to 8 bits as they come.

    ``image_CHW`` is any image, to trace the network with. Smaller, but for convolutions not faster, than float32.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _float_file(model, image_CHW) as source, atomic_path(path) as target:
        quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8)
        return _finish(target, metadata, static=False)


@contextmanager
def _float_file(model: nn.Module, image_CHW: Tensor) -> Iterator[Path]:
    """Yield the path of the network as a float32 file, prepared for quantization; it goes afterwards."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # the quantizer advises what is being done already
    try:
        with tempfile.TemporaryDirectory() as folder:
            plain, prepared = Path(folder, "plain.onnx"), Path(folder, "prepared.onnx")
            write_onnx(model, image_CHW, plain)
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            proto = onnx.load(prepared)
            without_notes(proto)  # shapes noted before weights are transposed contradict those found after
            onnx.save(proto, prepared)
            yield prepared
    finally:
        logging.disable(before)


def _finish(
    path: Path, metadata: Mapping[str, str] | None, *, static: bool, float32: Collection[str] = ()
) -> Int8Share:
    """Strip the file, add the metadata, and see that it is what it should be."""
    import onnx

    proto = onnx.load(path)
    without_notes(proto)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, dict(metadata or {}))
    onnx.save(proto, path)
    return check_int8(path, static=static, float32=float32)


def _reader(images: list[Tensor]) -> Any:
    """Return calibration batches in the form the quantizer asks for."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter(images)

        def get_next(self) -> dict[str, object] | None:
            batch = next(self._batches, None)
            return None if batch is None else {INPUT: batch.numpy()}

    return Reader()
