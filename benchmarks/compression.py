"""One lineage on real MNIST digits: teacher, student, pruned student, int8 files; what each step costs and keeps.

A teacher is trained, a student distilled from it, 40 % of the student's channels removed and the rest fine-tuned with
the same teacher, then both are brought to int8: static, dynamic, and after training with int8's rounding. Every network
is measured as the file that would be deployed, run by ONNX Runtime; the student also in PyTorch. Accuracy is that of
the 10,000 test images. Run it as ``python -m benchmarks.compression``; prints Markdown, then the goals, met or missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import torch
from torch import nn

from benchmarks.timing import interleaved, machine
from kd.compress.cost import count_flops, count_parameters, file_bytes
from kd.compress.fake_int8 import finish, prepare
from kd.compress.onnx_model import OnnxModel
from kd.compress.portable_files import export_onnx
from kd.compress.prune import prune_channels
from kd.compress.quantize import dynamic_int8, static_int8
from kd.data.load_arrays import load_arrays
from kd.data.store import DeviceStore
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.teacher import LiveTeacher
from kd.evaluate.measure import measure
from kd.train.batches import AugmentedBatches
from kd.train.device import prepare_runtime
from kd.train.loop import fit
from kd.train.meter import Meter
from kd.train.optimizers import sgd
from kd.train.schedules import cosine
from kd.train.state import Training
from kd.train.weights import ModelCard

CPU = torch.device("cpu")
TEACHER = ("resnet8", {"width": 24})
STUDENTS = {"convnet": {"width": 64}, "resnet8": {"width": 16}, "mobilenet_v2": {"width": 0.5}}
CALIBRATION_BATCH = 64
KEPT_BYTES, LOST_POINTS = 0.30, 1.0  # the goals: int8 file against float32, accuracy lost by static int8


@dataclass(frozen=True, kw_only=True)
class Digits:
    """MNIST on the CPU: augmented views to train on, plain images to calibrate and test with."""

    train: DeviceStore
    test: DeviceStore
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def batches(self, seed: int) -> AugmentedBatches:
        """Return the training batches."""
        return AugmentedBatches(self.train, batch_size=64, seed=seed)

    def card(self, name: str, arguments: Mapping[str, object]) -> ModelCard:
        """Return the card of a model for these images."""
        return ModelCard(
            name=name,
            arguments=arguments,
            classes=tuple("0123456789"),
            in_channels=1,
            image_size=28,
            mean=self.mean,
            std=self.std,
        )


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A network as it would be deployed. ``network`` holds the parameters that it had before it became a file."""

    name: str
    run: nn.Module
    network: nn.Module
    bytes: int | None = None


def read_digits(root: Path, train: int) -> Digits:
    """Read MNIST; ``train`` images are kept for training."""
    arrays = load_arrays("mnist", root, {}, train)
    make = partial(DeviceStore, mean=arrays.mean, std=arrays.std, device=CPU)
    return Digits(
        train=make(arrays.train_images, arrays.train_labels, padding=2),
        test=make(arrays.test_images, arrays.test_labels),
        mean=arrays.mean,
        std=arrays.std,
    )


def train(model: nn.Module, digits: Digits, *, epochs: int, lr: float, seed: int, teacher: LiveTeacher | None) -> None:
    """Train a model in place, by labels, and by a teacher where there is one (T = 4, weights 0.3 and 0.7)."""
    runtime = prepare_runtime(precision="auto")
    torch.manual_seed(seed)
    batches = digits.batches(seed)
    terms = [make_term("ce", 0.3), make_term("kd", 0.7)] if teacher else [make_term("ce", 1.0)]
    objective = WeightedTerms(terms, student=model, teacher=teacher, autocast=runtime.autocast)
    optimizer = sgd(model.parameters(), lr=lr, weight_decay=1e-4)
    meter = Meter(terms=objective.names, steps=batches.steps, num_classes=10, device=CPU)
    fit(
        Training(model=model.to(memory_format=torch.channels_last), optimizer=optimizer, meter=meter),  # type: ignore[call-overload]
        epochs=epochs,
        batches=batches,
        objective=objective,
        schedule=cosine(epochs, warmup=0.2),
        validate=lambda model: meter.summary()[0],  # nothing is selected: the last epoch counts
    )
    model.eval()


def lineage(student_name: str, digits: Digits, folder: Path, epochs: int, seed: int) -> list[Variant]:
    """Train, distil, prune, quantize; return what came out, in that order."""
    card, own = digits.card(student_name, STUDENTS[student_name]), digits.card(*TEACHER)
    torch.manual_seed(seed)
    teacher_model, student = own.build(), card.build()
    train(teacher_model, digits, epochs=2, lr=0.1, seed=seed, teacher=None)
    teacher = LiveTeacher(teacher_model, own=own, student=card, autocast=prepare_runtime().autocast)
    train(student, digits, epochs=epochs, lr=0.1, seed=seed, teacher=teacher)
    pruned = card.build()
    pruned.load_state_dict(student.state_dict())
    prune_channels(pruned, digits.train.batch(torch.tensor([0]))[0])
    train(pruned, digits, epochs=epochs, lr=0.05, seed=seed, teacher=teacher)
    variants = [_float("teacher", teacher_model, digits, folder)]
    for name, model in (("student", student), ("pruned", pruned)):
        aware = prepare(model)
        train(aware, digits, epochs=max(1, epochs // 2), lr=0.01, seed=seed, teacher=teacher)
        variants += [
            _float(name, model, digits, folder),
            _static(f"{name}, static int8", model, digits, folder),
            _static(f"{name}, int8-aware", finish(aware), digits, folder),
            _dynamic(f"{name}, dynamic int8", model, digits, folder),
        ]
    return [variants[0], Variant(name="student, PyTorch", run=student, network=student), *variants[1:]]


def _float(name: str, model: nn.Module, digits: Digits, folder: Path) -> Variant:
    path = folder / f"{name}.onnx"
    export_onnx(model, digits.train.batch(torch.arange(64)), path)
    return Variant(name=f"{name}, float32", run=OnnxModel(path), network=model, bytes=file_bytes(path))


def _static(name: str, model: nn.Module, digits: Digits, folder: Path) -> Variant:
    path = folder / f"{name}.onnx"
    static_int8(model, (images for images, _ in digits.train.in_order(CALIBRATION_BATCH)), path)
    return Variant(name=name, run=OnnxModel(path), network=model, bytes=file_bytes(path))


def _dynamic(name: str, model: nn.Module, digits: Digits, folder: Path) -> Variant:
    path = folder / f"{name}.onnx"
    dynamic_int8(model, digits.train.batch(torch.tensor([0]))[0], path)
    return Variant(name=name, run=OnnxModel(path), network=model, bytes=file_bytes(path))


def accuracy(variant: Variant, digits: Digits) -> float:
    """Return the accuracy of a variant on the test images."""
    return measure(variant.run, digits.test.in_order(500), num_classes=10, device=CPU).accuracy


def report(variants: list[Variant], digits: Digits, rounds: int) -> list[str]:
    """Measure all variants, latencies in turn, print the table and return the goals with what became of them."""
    image = digits.train.batch(torch.tensor([0]))
    with torch.inference_mode():
        seconds = interleaved({each.name: partial(each.run, image) for each in variants}, rounds)
    latency = {name: median(values) for name, values in seconds.items()}
    accuracies = {each.name: accuracy(each, digits) for each in variants}
    size = {each.name: each.bytes for each in variants}
    print("| network | test accuracy % | parameters | MFLOP | file bytes | batch 1 median ms | p95 ms |")
    print("|---|---|---|---|---|---|---|")
    for each in variants:
        costs = f"{count_parameters(each.network):,} | {count_flops(each.network, image[0]) / 1e6:.1f}"
        file = "" if each.bytes is None else f"{each.bytes:,}"
        p95 = quantiles(seconds[each.name], n=20)[-1]
        times = f"{1000 * latency[each.name]:.3f} | {1000 * p95:.3f}"
        print(f"| {each.name} | {100 * accuracies[each.name]:.2f} | {costs} | {file} | {times} |")
    return [goal for name in ("student", "pruned") for goal in _goals(name, accuracies, size, latency)]


def _goals(
    name: str, accuracies: Mapping[str, float], size: Mapping[str, int | None], latency: Mapping[str, float]
) -> list[str]:
    """Return one line per goal of one network: what was measured, and whether it is enough."""
    plain, static, aware = f"{name}, float32", f"{name}, static int8", f"{name}, int8-aware"
    before, after = size[plain], size[static]
    assert before
    assert after
    lost, lost_aware = (100 * (accuracies[plain] - accuracies[each]) for each in (static, aware))
    checks = [
        (f"file {after / before:.3f} of float32, at most {KEPT_BYTES}", after <= KEPT_BYTES * before),
        (f"latency {latency[static] / latency[plain]:.2f} of float32, below 1", latency[static] < latency[plain]),
        (f"static loses {lost:.2f} points, at most {LOST_POINTS}", lost <= LOST_POINTS),
        (f"int8-aware loses {lost_aware:.2f} points, no more than static", lost_aware <= lost),
    ]
    return [f"- {'met' if met else 'MISSED'}: {name}: {text}" for text, met in checks]


def main() -> int:
    """Run the lineage for each student that was asked for. Returns 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of MNIST (default: $KD_DATA/MNIST)")
    parser.add_argument("--students", nargs="+", choices=list(STUDENTS), default=["convnet"])
    parser.add_argument("--train", type=int, default=12_000, help="training images")
    parser.add_argument("--epochs", type=int, default=4, help="of the student, and of fine-tuning after pruning")
    parser.add_argument("--rounds", type=int, default=300, help="timed runs of one image")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.data is None and "KD_DATA" not in os.environ:
        parser.error("name the folder of MNIST: --data, or KD_DATA in the environment")
    digits = read_digits(options.data or Path(os.environ["KD_DATA"], "MNIST"), options.train)
    goals: list[str] = []
    for name in options.students:
        with tempfile.TemporaryDirectory() as folder:
            variants = lineage(name, digits, Path(folder), options.epochs, options.seed)
            print(f"\n{machine()}; {torch.get_num_threads()} threads; torch {torch.__version__}")
            print(f"student {name} {STUDENTS[name]}, teacher {TEACHER[0]} {TEACHER[1]}, {options.train:,} images\n")
            goals += report(variants, digits, options.rounds)
    print("", *goals, sep="\n")
    return 1 if any("MISSED" in goal for goal in goals) else 0


if __name__ == "__main__":
    sys.exit(main())
