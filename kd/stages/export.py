"""Stage kind "export": write a trained model as a file to deploy, read it back, and measure that file.

Formats: ``onnx`` and ``pt2`` in float32, equal to the model within a tolerance; ``static_int8`` and ``dynamic_int8``.
Accuracies are those of the file. It runs on the CPU, so latencies are the CPU's, and on a GPU the model's beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd.compress.cost import count_flops, count_parameters, file_bytes, measure_latency, measure_throughput
from kd.compress.export import export_onnx, export_torch, load_torch
from kd.compress.onnx_model import OnnxModel
from kd.compress.quantize import dynamic_int8, static_int8
from kd.data.store import DeviceStore
from kd.distill.teacher import load_teacher
from kd.evaluate.agreement import agreement
from kd.evaluate.calibration import negative_log_likelihood, reliability
from kd.evaluate.metrics import selecting_metric
from kd.stages.context import StageContext
from kd.stages.data import Data, load_data
from kd.stages.envelope import result_of
from kd.stages.outcome import measure_store, measure_test
from kd.stages.teachers import find_teacher
from kd.train.device import Runtime, prepare_runtime
from kd.train.state import Stopwatch
from kd.train.weights import ModelCard

EXTENSIONS: Mapping[str, str] = {"onnx": "onnx", "pt2": "pt2", "static_int8": "onnx", "dynamic_int8": "onnx"}
CALIBRATION_BATCH = 64  # images
COMPARED = 64  # images on which a float32 file must equal the model
THROUGHPUT_BATCH = 128
CPU = torch.device("cpu")


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Write, read back and measure the file; return the contents of result.json.

    Raises CheckpointError when the model cannot be used, UnequalExport or NotInt8 when the file is not what it says.
    """
    watch = Stopwatch()
    runtime = prepare_runtime(precision="float32")
    found = find_teacher(context.parents["of"])
    data = load_data(
        spec["data"], {"crop": 0, "flip": False}, staged=context.data_root, device=CPU, modalities=found.modalities
    )
    model, card = load_teacher(found.path, student=data.card(found.model))
    model.eval()
    name = f"checkpoint/model.{EXTENSIONS[spec['settings']['format']]}"
    written = _write(model, card, spec["settings"], data, context.work / name)
    deployed = _open(context.work / name)
    validation = measure_store(deployed, store=data.validation, card=card, runtime=runtime.on_cpu()).as_dict()
    test = measure_test(deployed, data.test_store(), card, runtime.on_cpu())
    findings = {
        "model": dict(found.model),
        "start": dict(found.facts),
        "parameters": count_parameters(model),
        "metric": selecting_metric(multi_label=card.multi_label),
        "validation": {"best": validation, "last": validation},
        "test": {"best": test, "last": test},
        "file": {"name": name, "bytes": file_bytes(context.work / name), **written},
        "cost": _cost(model, deployed, data.validation, runtime),
        **_confidence(model, deployed, data.validation, card),
        "seconds": {"total": watch.seconds},
        "precision": "int8" if "int8" in spec["settings"]["format"] else "float32",
    }
    return result_of(context, spec, findings, runtime=runtime, data=data, files=context.publish([name]))


def _write(model: nn.Module, card: ModelCard, settings: Mapping[str, Any], data: Data, path: Path) -> dict[str, Any]:
    """Write the file in its format and return what is to be told of it."""
    metadata = {"kd": json.dumps(asdict(card), sort_keys=True)}
    images = data.train.batch(torch.arange(min(COMPARED, len(data.train))))
    path.parent.mkdir(parents=True, exist_ok=True)
    if settings["format"] == "onnx":
        return {"difference": export_onnx(model, images, path, metadata=metadata)}
    if settings["format"] == "pt2":
        return {"difference": export_torch(model, images, path)}
    if settings["format"] == "dynamic_int8":
        return {"int8": asdict(dynamic_int8(model, images[0], path, metadata=metadata))}
    batches = settings["calibration_batches"]
    share = static_int8(model, _plain_images(data.train), path, batches=batches, metadata=metadata)
    return {"int8": asdict(share), "calibration_batches": batches}


def _plain_images(store: DeviceStore) -> Iterator[Tensor]:
    return (images for images, _ in store.in_order(CALIBRATION_BATCH))


def _open(path: Path) -> nn.Module:
    return OnnxModel(path) if path.suffix == ".onnx" else load_torch(path)


def _cost(model: nn.Module, deployed: nn.Module, store: DeviceStore, runtime: Runtime) -> dict[str, Any]:
    """Return operations, latency of one image and throughput: of the file on the CPU, of the model on a GPU."""
    images = store.batch(torch.arange(min(THROUGHPUT_BATCH, len(store))))
    places = {"cpu": (deployed, images)}
    if runtime.device.type == "cuda":
        places["gpu"] = (runtime.place(model), images.to(runtime.device))
    measured = {
        place: {
            "latency": asdict(measure_latency(network, batch[0])),
            "images_per_second": measure_throughput(network, batch),
            "batch": len(batch),
        }
        for place, (network, batch) in places.items()
    }
    model.to(CPU)
    return {"flops": count_flops(model, images[0]), **measured}


@torch.no_grad()
def _confidence(model: nn.Module, deployed: nn.Module, store: DeviceStore, card: ModelCard) -> dict[str, Any]:
    """Return how well calibrated the file is on validation images, and how far it agrees with the model."""
    pairs = [(deployed(images), model(images)) for images, _ in store.in_order(THROUGHPUT_BATCH)]
    found, expected = (torch.cat(logits) for logits in zip(*pairs, strict=True))
    bins = reliability(found, store.labels)
    return {
        "calibration": {
            "expected_error": bins.expected_error,
            "negative_log_likelihood": negative_log_likelihood(found, store.labels),
            **asdict(bins),
        },
        "agreement": asdict(agreement(found, expected, multi_label=card.multi_label)),
    }
