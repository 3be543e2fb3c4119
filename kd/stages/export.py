"""Stage kind "export": write a trained model as a file to deploy, read it back, and measure that file.

Formats: ``onnx`` and ``pt2`` in float32, equal to the model within a tolerance; ``static_int8`` and ``dynamic_int8``.
Accuracies are those of the file. It runs on the CPU, so latencies are the CPU's, and on a GPU the model's beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters, file_bytes, measure_latency, measure_throughput
from kd.compress.export import export_onnx, export_torch, load_torch
from kd.compress.onnx_model import OnnxModel
from kd.compress.quantize import dynamic_int8, static_int8
from kd.data.store import DeviceStore
from kd.distill.teacher import load_trained_model
from kd.evaluate.agreement import agreement
from kd.evaluate.calibration import negative_log_likelihood, reliability
from kd.evaluate.metrics import selecting_metric
from kd.files import make_folder
from kd.rundir.folders import exported_model
from kd.rundir.result_sections import (
    Agreement,
    BestAndLast,
    Calibration,
    Cost,
    DeviceCost,
    Latency,
    ModelFile,
    Seconds,
)
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import ExportSettings, StageSpec
from kd.stages.context import StageContext
from kd.stages.measurement import measure_store, measure_test, recorded
from kd.stages.result_file import circumstances, identity
from kd.stages.stage_data import StageData, load_data
from kd.stages.trained_model import find_trained_model
from kd.train.device import Runtime, prepare_runtime
from kd.train.state import Stopwatch
from kd.train.weights import ModelCard

EXTENSIONS: Mapping[str, str] = {"onnx": "onnx", "pt2": "pt2", "static_int8": "onnx", "dynamic_int8": "onnx"}
CALIBRATION_BATCH = 64  # images
COMPARED = 64  # images on which a float32 file must equal the model
THROUGHPUT_BATCH = 128
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
    cost = _cost(model, deployed, data.validation, runtime)
    calibration, agreed = _confidence(model, deployed, data.validation, card)
    return StageResult(
        **identity(context, spec, context.publish([name])),
        **circumstances(runtime, data, precision="int8" if "int8" in spec.settings.format else "float32"),
        model=found.component,
        start=found.origin,
        parameters=count_parameters(model),
        metric=selecting_metric(multi_label=card.multi_label),
        validation=BestAndLast(best=recorded(validation), last=recorded(validation)),
        test=BestAndLast(best=test, last=test),
        file=replace(file, name=name, bytes=file_bytes(context.work / name)),
        cost=cost,
        calibration=calibration,
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
    share = static_int8(model, _plain_images(data.train), path, batches=batches, metadata=metadata)
    return ModelFile(int8=asdict(share), calibration_batches=batches)


def _plain_images(store: DeviceStore) -> Iterator[Tensor]:
    return (images for images, _ in store.in_order(CALIBRATION_BATCH))


def _open(path: Path) -> nn.Module:
    return OnnxModel(path) if path.suffix == ".onnx" else load_torch(path)


def _cost(model: nn.Module, deployed: nn.Module, store: DeviceStore, runtime: Runtime) -> Cost:
    """Return operations, latency of one image and throughput: of the file on the CPU, of the model on a GPU."""
    images = store.batch(torch.arange(min(THROUGHPUT_BATCH, len(store))))
    devices = {"cpu": (deployed, images)}
    if runtime.device.type == "cuda":
        devices["gpu"] = (runtime.place(model), images.to(runtime.device))
    measured = {
        device: DeviceCost(
            latency=Latency(**asdict(measure_latency(network, batch[0]))),
            images_per_second=measure_throughput(network, batch),
            batch=len(batch),
        )
        for device, (network, batch) in devices.items()
    }
    model.to(CPU)
    return Cost(flops=count_flops(model, images[0]), cpu=measured["cpu"], gpu=measured.get("gpu"))


@torch.no_grad()
def _confidence(
    model: nn.Module, deployed: nn.Module, store: DeviceStore, card: ModelCard
) -> tuple[Calibration, Agreement]:
    """Return how well calibrated the file is on validation images, and how far it agrees with the model."""
    pairs = [(deployed(images), model(images)) for images, _ in store.in_order(THROUGHPUT_BATCH)]
    found, expected = (torch.cat(logits) for logits in zip(*pairs, strict=True))
    bins = reliability(found, store.labels)
    calibration = Calibration(
        expected_error=bins.expected_error,
        negative_log_likelihood=negative_log_likelihood(found, store.labels),
        counts=list(bins.counts),
        confidence=list(bins.confidence),
        accuracy=list(bins.accuracy),
    )
    return calibration, Agreement(**asdict(agreement(found, expected, multi_label=card.multi_label)))
