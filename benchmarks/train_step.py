"""How near training comes to its bare step: epochs with data and bookkeeping against one resident batch.

Rounds are interleaved and medians taken, since machines are shared: read the ratios. With a teacher, the bound is a
student's step and a teacher's forward pass in turn. Run it as ``python -m benchmarks.train_step``; prints Markdown.
``--clock process`` counts processor time, which a busy machine disturbs less (one thread, no GPU).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from statistics import median

import torch

from benchmarks.timing import machine
from kd.catalog import load
from kd.data.store import DeviceStore
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.teacher import LiveTeacher
from kd.evaluate.metrics import Metrics
from kd.train.batches import AugmentedBatches
from kd.train.device import Runtime, prepare_runtime
from kd.train.loop import fit, train_step
from kd.train.meter import Meter
from kd.train.optimizers import sgd
from kd.train.schedules import constant
from kd.train.state import Training
from kd.train.step import Batch
from kd.train.update import Update
from kd.train.weights import ModelCard

# model -> (channels, image size, teacher beside it)
CASES = {"resnet8": (3, 32, "resnet18"), "resnet18": (3, 32, "resnet18"), "convnet": (1, 28, "resnet8")}
NO_METRICS = Metrics(accuracy=0.0, precision=0.0, recall=0.0, f1_score=0.0, loss=0.0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Two things to time, each doing the same number of steps."""

    name: str
    bare: Callable[[], None]
    whole: Callable[[], None]


class FewBatches:
    """The first ``steps`` batches of every epoch."""

    def __init__(self, batches: AugmentedBatches, steps: int) -> None:
        self._batches, self.steps = batches, steps

    def epoch(self, epoch: int, *, first_step: int) -> Iterator[Batch]:
        """Yield them."""
        return islice(self._batches.epoch(epoch, first_step=first_step), self.steps - first_step)


def make_case(name: str, *, distil: bool, batch_size: int, steps: int, runtime: Runtime) -> Case:
    """Return bare steps and epochs of one model, with its teacher if ``distil``."""
    channels, size, teacher_name = CASES[name]
    count = max(batch_size * steps, 5000)
    images = torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8)
    labels = torch.randint(0, 10, (count,))
    mean, std = (0.5,) * channels, (0.25,) * channels
    store = DeviceStore(images, labels, mean=mean, std=std, device=runtime.device, padding=4, flip=channels == 3)
    batches = AugmentedBatches(store, batch_size=batch_size, seed=0)
    model = runtime.place(load("model", name)(10, channels, size))
    teacher_model = runtime.place(load("model", teacher_name)(10, channels, size))
    card = ModelCard(
        name=name,
        arguments={},
        classes=tuple("0123456789"),
        in_channels=channels,
        image_size=size,
        mean=mean,
        std=std,
    )
    teacher = LiveTeacher(teacher_model, own=card, student=card, autocast=runtime.autocast)
    ce = [make_term("ce", 1.0)]
    bare_objective = WeightedTerms(ce, student=model, autocast=runtime.autocast)
    terms = [*ce, make_term("kd", 1.0)] if distil else ce
    objective = WeightedTerms(terms, student=model, teacher=teacher, autocast=runtime.autocast)
    optimizer = sgd(model.parameters(), lr=1e-4)
    meter = Meter(terms=objective.names, steps=steps, num_classes=10, device=runtime.device)
    training, update = Training(model=model, optimizer=optimizer, meter=meter), Update(optimizer)
    resident = next(batches.epoch(0))

    def bare() -> None:
        model.train()
        for _ in range(steps):
            train_step(model, update, bare_objective, resident)
            if distil:
                teacher(resident)

    def whole() -> None:
        fit(
            training,
            epochs=training.epoch + 1,
            batches=FewBatches(batches, steps),
            objective=objective,
            schedule=constant(1),
            validate=lambda model: NO_METRICS,
        )

    return Case(name=f"{teacher_name} -> {name}" if distil else name, bare=bare, whole=whole)


def seconds(work: Callable[[], None], runtime: Runtime, clock: Callable[[], float]) -> float:
    """Return how long a piece of work takes, the device's queue included."""
    started = clock()
    work()
    if runtime.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def row(case: Case, *, rounds: int, images: int, runtime: Runtime, clock: Callable[[], float]) -> str:
    """Time a case and return its row of the table; a first round is not counted."""
    pairs = [(seconds(case.bare, runtime, clock), seconds(case.whole, runtime, clock)) for _ in range(rounds + 1)][1:]
    ratios = [bare / whole for bare, whole in pairs]
    bare_rate, whole_rate = (images / median(times) for times in zip(*pairs, strict=True))
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    return f"| {case.name} | {bare_rate:,.0f} | {whole_rate:,.0f} | {median(ratios):.3f} | {spread} |"


def main() -> None:
    """Run the cases that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=["resnet8", "convnet"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8, help="steps per timed piece")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--clock", choices=["wall", "process"], default="wall")
    options = parser.parse_args()
    runtime = prepare_runtime(precision=options.precision)
    clock = time.process_time if options.clock == "process" else time.perf_counter
    print(f"{machine()}; {runtime.description}; {runtime.precision}; torch {torch.__version__}")
    print(f"batch {options.batch_size}, {options.rounds} rounds of {options.steps} steps, {options.clock} time\n")
    print("| case | bare images/s | epoch images/s | epoch / bare, median | range |")
    print("|---|---|---|---|---|")
    for name in options.models:
        for distil in (False, True):
            case = make_case(name, distil=distil, batch_size=options.batch_size, steps=options.steps, runtime=runtime)
            images = options.batch_size * options.steps
            print(row(case, rounds=options.rounds, images=images, runtime=runtime, clock=clock), flush=True)


if __name__ == "__main__":
    main()
