"""One way to distil, as a process that does so many steps whenever it is told to: see ``benchmarks.peers``.

``python -m benchmarks.peer_ways WAY STUDENT TEACHER --batch N``, in an environment that holds torchdistill. A line with
a number on standard input means so many steps; the answer is one line of JSON: processor seconds, peak memory in bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import v2

from benchmarks.whole_step import WholeStep
from kd.catalog import load
from kd.train.device import prepare_runtime

Step = Callable[[], None]
SIZE, CLASSES, IMAGES = 32, 10, 2048
TEMPERATURE, SHARE = 4.0, 0.5  # of cross-entropy; the rest is distillation
MEAN, STD = (0.5,) * 3, (0.25,) * 3


class Pictures(Dataset[tuple[Tensor, int]]):
    """Random pictures as a data set of torchvision has them: opened, cropped, mirrored and normalised one by one."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (IMAGES, SIZE, SIZE, 3), dtype=torch.uint8, generator=draw)
        self._pictures = [Image.fromarray(picture.numpy()) for picture in pixels]
        self._labels = torch.randint(0, CLASSES, (IMAGES,), generator=draw).tolist()
        self._change = v2.Compose(
            [
                v2.RandomCrop(SIZE, padding=4),
                v2.RandomHorizontalFlip(),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._change(self._pictures[index]), self._labels[index]


def endless(loader: Any) -> Iterator[Any]:
    """Yield batches, epoch after epoch."""
    while True:
        yield from loader


def networks(student: str, teacher: str) -> tuple[nn.Module, nn.Module]:
    """Return student and teacher of the catalogue; every way has the same."""
    torch.manual_seed(0)
    learner, expert = (load("model", name)(CLASSES, 3, SIZE) for name in (student, teacher))
    return learner.train(), expert.eval().requires_grad_(False)


def by_hand(student: str, teacher: str, batch: int, *, careful: bool) -> Step:
    """A loop as published repositories have it; a careful one adds channels-last memory, bfloat16 and no waits."""
    learner, expert = networks(student, teacher)
    if careful:
        learner, expert = (net.to(memory_format=torch.channels_last) for net in (learner, expert))  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    batches = endless(DataLoader(Pictures(), batch_size=batch, shuffle=True, drop_last=True))
    seen = {"loss": 0.0, "right": 0.0}

    def step() -> None:
        images, labels = next(batches)
        if careful:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16) if careful else nullcontext():
            with torch.no_grad():
                target = expert(images)
            logits = learner(images)
        soft = F.kl_div(
            (logits.float() / TEMPERATURE).log_softmax(1),
            (target.float() / TEMPERATURE).softmax(1),
            reduction="batchmean",
        )
        loss = SHARE * F.cross_entropy(logits.float(), labels) + (1 - SHARE) * TEMPERATURE**2 * soft
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if not careful:
            seen["loss"] += loss.item()
            seen["right"] += (logits.argmax(1) == labels).float().mean().item()

    return step


def torchdistill(student: str, teacher: str, batch: int) -> Step:
    """The peer's own box, data loader and losses, in the loop of its examples."""
    from torchdistill.core.distillation import get_distillation_box

    learner, expert = networks(student, teacher)
    loss = {
        "student_module_path": ".",
        "student_module_io": "output",
        "teacher_module_path": ".",
        "teacher_module_io": "output",
        "temperature": TEMPERATURE,
        "alpha": SHARE,
        "reduction": "batchmean",
    }
    config: dict[str, Any] = {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "pictures",
            "sampler": {"class_or_func": RandomSampler},
            "kwargs": {"batch_size": batch, "num_workers": 0, "drop_last": True},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "optimizer": {"key": "SGD", "kwargs": {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": {"key": "KDLoss", "kwargs": loss}, "weight": 1.0}}},
        },
    }
    box = get_distillation_box(expert, learner, {"pictures": Pictures()}, config, torch.device("cpu"), None, False, 1)
    box.pre_epoch_process(epoch=0)
    batches = endless(box.train_data_loader)

    def step() -> None:
        images, labels, more = next(batches)
        cost = box.forward_process(images, labels, more)
        box.post_forward_process(cost)
        cost.item()

    return step


def ours(student: str, teacher: str, batch: int, *, precision: Any, cached: bool) -> Step:
    """A whole step of kd, with the teacher beside the student or read from a cache."""
    terms = {"ce": SHARE, "kd": 1 - SHARE}
    runtime = prepare_runtime(precision=precision)
    steps = WholeStep(terms, runtime, student=student, teacher=teacher, batch=batch, count=IMAGES, cached=cached)
    return steps.step


WAYS: dict[str, Callable[[str, str, int], Step]] = {
    "torchdistill": torchdistill,
    "plain loop": lambda *which: by_hand(*which, careful=False),
    "careful loop, bf16": lambda *which: by_hand(*which, careful=True),
    "kd online, fp32": lambda *which: ours(*which, precision="float32", cached=False),
    "kd online, bf16": lambda *which: ours(*which, precision="bfloat16", cached=False),
    "kd cached, fp32": lambda *which: ours(*which, precision="float32", cached=True),
    "kd cached, bf16": lambda *which: ours(*which, precision="bfloat16", cached=True),
}


def peak_bytes() -> int:
    """Return the most memory that this process has had."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024


def main() -> None:
    """Set up a way, and do steps as they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=list(WAYS))
    parser.add_argument("student")
    parser.add_argument("teacher")
    parser.add_argument("--batch", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    step = WAYS[options.way](options.student, options.teacher, options.batch)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.process_time()
        for _ in range(int(line)):
            step()
        print(json.dumps({"seconds": time.process_time() - started, "peak": peak_bytes()}), flush=True)


if __name__ == "__main__":
    main()
