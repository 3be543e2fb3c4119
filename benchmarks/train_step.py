"""How near training comes to its bare step, and what a teacher costs: none, a cache, two, the teacher beside it.

The bare ways repeat steps on one resident batch: the student's alone, and the student's with the teacher's forward pass
in turn. All others run whole steps with data, augmentation, losses and bookkeeping (``kd.train.loop.fit``). The cache
is a real file, mapped into memory. Ways are run in turn and compared by medians: read the ratios. Run it as
``python -m benchmarks.train_step``; prints Markdown.
``--clock process`` counts processor time, which a busy machine disturbs less (one thread, no GPU).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch

from benchmarks.timing import interleaved, machine
from kd.catalog import load
from kd.data.store import DeviceStore
from kd.distill.cached_teacher import CacheCard, CachedTeacher, open_cache, write_cache
from kd.distill.ensemble import Ensemble
from kd.distill.objective import WeightedTerms, make_term
from kd.distill.outputs import Teacher
from kd.distill.teacher import LiveTeacher
from kd.distill.weighting import uniform
from kd.evaluate.metrics import Metrics
from kd.train.batches import AugmentedBatches
from kd.train.device import Runtime, prepare_runtime
from kd.train.loop import fit
from kd.train.meter import Meter
from kd.train.optimizers import sgd
from kd.train.plain_step import train_step
from kd.train.schedules import constant
from kd.train.state import Training
from kd.train.step import Batch
from kd.train.update import Update
from kd.train.weights import ModelCard

Way = Callable[[], None]
VIEWS, CLASSES, IMAGES = 8, 10, 5000
BARE = "student, bare step"
# student -> (channels, image size, teacher beside it)
CASES = {"resnet8": (3, 32, "resnet18"), "resnet18": (3, 32, "resnet18"), "convnet": (1, 28, "resnet8")}
NO_METRICS = Metrics(accuracy=0.0, precision=0.0, recall=0.0, f1_score=0.0, loss=0.0)


class FewBatches:
    """The first ``steps`` batches of every epoch."""

    def __init__(self, batches: AugmentedBatches, steps: int) -> None:
        self._batches, self.steps = batches, steps

    def epoch(self, epoch: int, *, first_step: int) -> Iterator[Batch]:
        """Yield them."""
        return islice(self._batches.epoch(epoch, first_step=first_step), self.steps - first_step)


def ways(student: str, folder: Path, *, batch_size: int, steps: int, runtime: Runtime) -> dict[str, Way]:
    """Return the ways to train one student for some steps, by name; all train the same kind of model."""
    channels, size, teacher_name = CASES[student]
    images = torch.randint(0, 256, (max(batch_size * steps, IMAGES), channels, size, size), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (len(images),))
    mean, std = (0.5,) * channels, (0.25,) * channels
    store = DeviceStore(images, labels, mean=mean, std=std, device=runtime.device, padding=4, flip=channels == 3)
    card = ModelCard(
        name=student,
        arguments={},
        classes=tuple("0123456789"),
        in_channels=channels,
        image_size=size,
        mean=mean,
        std=std,
    )
    network = runtime.place(load("model", teacher_name)(CLASSES, channels, size))
    live = LiveTeacher(network, own=card, student=card, autocast=runtime.autocast)
    cached = [_cached(folder / f"{number}", len(images), runtime) for number in range(2)]

    def epoch(teacher: Teacher | None, cached_views: int | None = None) -> Way:
        batches = AugmentedBatches(store, batch_size=batch_size, seed=0, cached_views=cached_views)
        return _epochs(card, FewBatches(batches, steps), teacher, runtime)

    resident = next(AugmentedBatches(store, batch_size=batch_size, seed=0).epoch(0))
    return {
        BARE: _bare_steps(card, resident, steps, runtime),
        f"bare step, {teacher_name}'s forward pass": _bare_steps(card, resident, steps, runtime, teacher=live),
        "student alone": epoch(None),
        "cached teacher": epoch(cached[0], VIEWS),
        "two cached teachers": epoch(Ensemble(cached, uniform(2, CLASSES)), VIEWS),
        f"{teacher_name} beside it": epoch(live),
    }


def _cached(path: Path, images: int, runtime: Runtime) -> CachedTeacher:
    """Return a teacher that reads a cache on disk; what it holds does not matter here."""
    facts = {"teacher": "", "images": "", "augment": {}, "classes": tuple("0123456789"), "precision": "float32"}
    tensors = {"logits": torch.randn(VIEWS, images, CLASSES)}
    write_cache(path, tensors, CacheCard(views=VIEWS, **facts))  # type: ignore[arg-type]
    return CachedTeacher(open_cache(path)[0], device=runtime.device)


def _bare_steps(card: ModelCard, resident: Batch, steps: int, runtime: Runtime, teacher: Teacher | None = None) -> Way:
    model = runtime.place(card.build())
    objective = WeightedTerms([make_term("ce", 1.0)], student=model, autocast=runtime.autocast)
    update = Update(sgd(model.parameters(), lr=1e-4))

    def run() -> None:
        model.train()
        for _ in range(steps):
            train_step(model, update, objective, [resident])
            if teacher:
                teacher(resident)
        _wait(runtime)

    return run


def _epochs(card: ModelCard, batches: FewBatches, teacher: Teacher | None, runtime: Runtime) -> Way:
    model = runtime.place(card.build())
    terms = [make_term("ce", 0.5), *([make_term("kd", 0.5)] if teacher else [])]
    objective = WeightedTerms(terms, student=model, teacher=teacher, autocast=runtime.autocast)
    meter = Meter(terms=objective.names, steps=batches.steps, num_classes=CLASSES, device=runtime.device)
    training = Training(model=model, optimizer=sgd(model.parameters(), lr=1e-4), meter=meter)

    def run() -> None:
        fit(
            training,
            epochs=training.epoch + 1,
            batches=batches,
            objective=objective,
            schedule=constant(1),
            validate=lambda model: NO_METRICS,
        )
        _wait(runtime)

    return run


def _wait(runtime: Runtime) -> None:
    if runtime.device.type == "cuda":
        torch.cuda.synchronize()


def table(student: str, seconds: dict[str, list[float]], images: int) -> Sequence[str]:
    """Return the rows of one student: images a second, and the rate against the bare step, round by round."""
    lines = []
    for name, values in seconds.items():
        ratios = sorted(bare / value for value, bare in zip(values, seconds[BARE], strict=True))
        rate = images / sorted(values)[len(values) // 2]
        middle = ratios[len(ratios) // 2]
        lines.append(f"| {student} | {name} | {rate:,.0f} | {middle:.3f} | {ratios[0]:.3f} to {ratios[-1]:.3f} |")
    return lines


def main() -> None:
    """Run the students that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=["resnet8", "convnet"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=8, help="steps per timed piece")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--clock", choices=["wall", "process"], default="wall")
    options = parser.parse_args()
    clock = time.process_time if options.clock == "process" else time.perf_counter
    runtime = prepare_runtime(precision=options.precision)
    print(f"{machine()}; {runtime.description}; {runtime.precision}; torch {torch.__version__}")
    pieces = f"{options.rounds} rounds of {options.steps} steps, {options.clock} time"
    print(f"batch {options.batch_size}, {VIEWS} cached views, {pieces}\n")
    print("| student | way | images/s | rate / bare step, median | range |\n|---|---|---|---|---|")
    for student in options.models:
        with tempfile.TemporaryDirectory() as folder:
            made = ways(student, Path(folder), batch_size=options.batch_size, steps=options.steps, runtime=runtime)
            seconds = interleaved(made, options.rounds, clock)
        print("\n".join(table(student, seconds, options.batch_size * options.steps)), flush=True)


if __name__ == "__main__":
    main()
