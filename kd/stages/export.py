"""Stage kind "export": write a trained model as a file to deploy, read it back, and measure that file.

Formats: ``onnx`` and ``pt2`` in float32, equal to the model within a tolerance; ``static_int8`` and ``dynamic_int8``.
Accuracies are those of the file. It runs on the CPU, so latencies are the CPU's, and on a GPU the model's beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters, file_bytes
from kd.compress.onnx_model import OnnxModel
from kd.compress.portable_files import export_onnx, export_torch, load_torch
from kd.compress.quantize import dynamic_int8, static_int8
from kd.data.store import DeviceStore
from kd.distill.teacher import load_trained_model
from kd.evaluate.agreement import agreement
from kd.evaluate.metrics import selecting_metric
from kd.files import make_folder
from kd.rundir.folders import exported_model
from kd.rundir.result_sections import (
    Agreement,
    BestAndLast,
    Cost,
    DeviceCost,
    ModelFile,
    Seconds,
)
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import ExportSettings, StageSpec
from kd.stages.context import StageContext
from kd.stages.measurement import measure_store, measure_test, recorded
from kd.stages.result_file import circumstances, identity
from kd.stages.speed import speed, speed_in_pytorch, timed_images
from kd.stages.stage_data import StageData, load_data
from kd.stages.trained_model import find_trained_model
from kd.train.device import Runtime, cpu_in_words, prepare_runtime
from kd.train.state import Stopwatch
from kd.train.weights import ModelCard

EXTENSIONS: Mapping[str, str] = {"onnx": "onnx", "pt2": "pt2", "static_int8": "onnx", "dynamic_int8": "onnx"}
CALIBRATION_BATCH = 64  # images
COMPARED = 64  # images on which a float32 file must equal the model
AGREEMENT_BATCH = 128
CPU = torch.device("cpu")


def run(context: StageContext, spec: StageSpec[ExportSettings]) -> StageResult:
    """Write, read back and measure the file; return the result.

    Raises CheckpointError when the model cannot be used, UnequalExport or NotInt8 when the file is
    not what its format promises.
    """
    watch = Stopwatch()
    runtime = prepare_runtime(precision="float32")
    found = find_trained_model(context.parents["of"])
    data = load_data(spec.data, staged=context.data_root, device=CPU, modalities=found.modalities)
    model, card = load_trained_model(found.path, student=data.card(found.component))
    model.eval()
    name = exported_model(EXTENSIONS[spec.settings.format])
    file = _write(model, card, spec.settings, data, context.work / name)
    deployed = _open(context.work / name)
    validation = measure_store(deployed, store=data.validation, card=card, runtime=runtime.on_cpu())
    test = measure_test(deployed, data.test_store(), card, runtime.on_cpu())
    agreed = _agreement(model, deployed, data.validation, card)
    int8 = "int8" in spec.settings.format
    precision = ("int8 and float32" if spec.settings.float32 else "int8") if int8 else "float32"
    cost = _cost(model, deployed, context.work / name, data.validation, runtime, int8=int8)
    return StageResult(
        **identity(context, spec, context.publish([name])),
        **circumstances(runtime, data, precision=precision),
        model=found.component,
        start=found.origin,
        parameters=count_parameters(model),
        metric=selecting_metric(multi_label=card.multi_label),
        validation=BestAndLast(best=recorded(validation), last=recorded(validation)),
        measured_in=precision,
        test=BestAndLast(best=test.metrics, last=test.metrics),
        detail=test.detail,
        file=replace(file, name=name, bytes=file_bytes(context.work / name)),
        cost=cost,
        calibration=test.calibration,
        agreement=agreed,
        seconds=Seconds(total=watch.seconds),
    )


def _write(model: nn.Module, card: ModelCard, settings: ExportSettings, data: StageData, path: Path) -> ModelFile:
    """Write the file in its format and return what was checked of it."""
    metadata = {"kd": json.dumps(asdict(card), sort_keys=True)}
    images = data.train.batch(torch.arange(min(COMPARED, len(data.train))))
    make_folder(path.parent)
    if settings.format == "onnx":
        return ModelFile(difference=export_onnx(model, images, path, metadata=metadata))
    if settings.format == "pt2":
        return ModelFile(difference=export_torch(model, images, path))
    if settings.format == "dynamic_int8":
        return ModelFile(int8=asdict(dynamic_int8(model, images[0], path, metadata=metadata)))
    batches = settings.calibration_batches
    assert batches is not None, "the spec of a static_int8 export gives a number"
    share = static_int8(
        model, _plain_images(data.train), path, batches=batches, float32=settings.float32, metadata=metadata
    )
    return ModelFile(int8=asdict(share), calibration_batches=batches)


def _plain_images(store: DeviceStore) -> Iterator[Tensor]:
    return (images for images, _ in store.in_order(CALIBRATION_BATCH))


def _open(path: Path) -> nn.Module:
    return OnnxModel(path) if path.suffix == ".onnx" else load_torch(path)


def _cost(
    model: nn.Module, deployed: nn.Module, file: Path, store: DeviceStore, runtime: Runtime, *, int8: bool
) -> Cost:
    """Return operations and speed: of the file on the CPU, of its network in PyTorch, there and on a GPU.

    An int8 file is timed beside the float32 file of the same network, so that its gain is not that of the runtime.
    """
    images = timed_images(store)
    flops, on_cpu, on_gpu = count_flops(model, images[0]), speed(deployed, images, _runtime_of(file)), None
    float32_file = _float32_speed(model, file, images) if int8 else None
    network = speed_in_pytorch(model, images)
    if runtime.device.type == "cuda":
        name = f"PyTorch float32, {runtime.description}"
        on_gpu = speed(runtime.place(model), images.to(runtime.device), name)
    return Cost(flops=flops, cpu=on_cpu, gpu=on_gpu, network=network, float32_file=float32_file)


def _runtime_of(file: Path) -> str:
    return f"{'ONNX Runtime' if file.suffix == '.onnx' else 'PyTorch program'}, {cpu_in_words()}"


def _float32_speed(model: nn.Module, file: Path, images: Tensor) -> DeviceCost:
    with TemporaryDirectory(dir=file.parent) as folder:
        plain = Path(folder) / "float32.onnx"
        export_onnx(model, images, plain, metadata={})
        return speed(OnnxModel(plain), images, _runtime_of(plain))


@torch.no_grad()
def _agreement(model: nn.Module, deployed: nn.Module, store: DeviceStore, card: ModelCard) -> Agreement:
    """Return how far the file agrees with the model on the validation images."""
    pairs = [(deployed(images), model(images)) for images, _ in store.in_order(AGREEMENT_BATCH)]
    found, expected = (torch.cat(logits) for logits in zip(*pairs, strict=True))
    return Agreement(**asdict(agreement(found, expected, multi_label=card.multi_label)))
