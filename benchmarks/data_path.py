"""How fast the ways of cropping, mirroring and normalising a batch are, and their share of a training step.

Random bytes in the shape of CIFAR-10; rounds are interleaved and medians taken, since machines are shared:
read the ratios. Run it as ``python -m benchmarks.data_path``; prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import cross_entropy

from kd.data.augment import Views, epoch_order, epoch_views
from kd.data.store import DeviceStore
from kd.models.resnet import resnet8
from kd.train.device import Runtime, prepare_runtime

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SIZE, PADDING = 32, 4

Way = Callable[[Tensor], object]


def ways(images: Tensor, views: Views, device: torch.device) -> dict[str, Way]:
    """Return every way as a function from the indices of a batch to the batch."""
    labels = torch.zeros(len(images), dtype=torch.int64)

    def store(prepared_bytes: int) -> DeviceStore:
        return DeviceStore(
            images,
            labels,
            mean=MEAN,
            std=STD,
            device=device,
            padding=PADDING,
            flip=True,
            prepared_bytes=prepared_bytes,
        )

    prepared, large = store(1 << 40), store(0)
    return {
        "Pillow, image by image": lambda indices: pillow_batch(images, views, indices),
        "gather, flipped index": gather(images.to(device), views.to(device)),
        "unfold windows + where flip": unfold(images.to(device), views.to(device), flipped_copies=False),
        "unfold windows, flipped copies": unfold(images.to(device), views.to(device), flipped_copies=True),
        "DeviceStore, set too large for copies": lambda indices: large.batch(indices, views),
        "**DeviceStore**": lambda indices: prepared.batch(indices, views),
        "DeviceStore, no augmentation": lambda indices: prepared.batch(indices),
    }


def pillow_batch(images: Tensor, views: Views, indices: Tensor) -> Tensor:
    """Return a batch as a data set of Pillow images with per-image transforms makes it."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    batch = []
    for index in indices.tolist():
        image = Image.fromarray(images[index].permute(1, 2, 0).numpy())
        row, column = int(views.rows[index]), int(views.columns[index])
        image = ImageOps.expand(image, PADDING).crop((column, row, column + SIZE, row + SIZE))
        if views.flips[index]:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        values = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        batch.append(values.float().div(255).sub(mean).div(std))
    return torch.stack(batch)


def gather(images: Tensor, views: Views) -> Way:
    """Return the way that indexes every pixel, columns counted backwards where flipped."""
    padded = torch.nn.functional.pad(images, (PADDING,) * 4)
    steps, scale, shift = torch.arange(SIZE, device=images.device), *_constants(images.device)

    def batch(indices: Tensor) -> Tensor:
        rows = views.rows[indices, None] + steps
        forward = views.columns[indices, None] + steps
        columns = torch.where(views.flips[indices, None], forward.flip(1), forward)
        pixels = padded[indices[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return pixels.float().mul_(scale).add_(shift)

    return batch


def unfold(images: Tensor, views: Views, *, flipped_copies: bool) -> Way:
    """Return the way that picks one of the 9 x 9 windows of each image by advanced indexing."""
    padded = torch.nn.functional.pad(images, (PADDING,) * 4)
    if flipped_copies:
        padded = torch.cat([padded, padded.flip(3)])
    windows = padded.unfold(2, SIZE, 1).unfold(3, SIZE, 1).permute(0, 2, 3, 1, 4, 5)
    count, (scale, shift) = len(images), _constants(images.device)

    def batch(indices: Tensor) -> Tensor:
        flips, columns = views.flips[indices], views.columns[indices]
        if flipped_copies:
            columns = torch.where(flips, 2 * PADDING - columns, columns)
            pixels = windows[indices + count * flips, views.rows[indices], columns]
        else:
            pixels = windows[indices, views.rows[indices], columns]
            pixels = torch.where(flips[:, None, None, None], pixels.flip(3), pixels)
        return pixels.float().mul_(scale).add_(shift)

    return batch


def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what turns a byte into a normalised value: scale and shift, [3, 1, 1]."""
    mean, std = torch.tensor(MEAN, device=device), torch.tensor(STD, device=device)
    return (1 / (255 * std)).view(3, 1, 1), (-mean / std).view(3, 1, 1)


def training_step(runtime: Runtime) -> Callable[[Tensor], None]:
    """Return one step of ResNet-8 as training takes it: channels-last, bfloat16 where native, SGD."""
    model = runtime.place(resnet8(10, 3, SIZE))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(images: Tensor) -> None:
        labels = torch.arange(len(images), device=images.device) % 10
        with runtime.autocast():
            loss = cross_entropy(model(images), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()

    return step


def seconds(work: Way, batches: Sequence[Tensor], device: torch.device) -> float:
    """Return how long ``work`` takes on all batches, the device's share included."""
    start = time.perf_counter()
    for batch in batches:
        work(batch)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure_ways(
    ways: dict[str, Way], batches: list[Tensor], rounds: int, per_round: int, device: torch.device
) -> dict[str, float]:
    """Return the images per second of each way: medians of interleaved rounds, the first not counted."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            chosen = [batches[(turn * per_round + number) % len(batches)] for number in range(per_round)]
            spent = seconds(way, chosen, device)
            if turn:
                times[name].append(spent / sum(map(len, chosen)))
    return {name: 1 / statistics.median(spent) for name, spent in times.items()}


def measure_share(images: Tensor, batches: list[Tensor], rounds: int, runtime: Runtime) -> tuple[float, float]:
    """Return the median seconds of making a batch and of training on it, one after the other."""
    device, labels = runtime.device, torch.zeros(len(images), dtype=torch.int64)
    store = DeviceStore(images, labels, mean=MEAN, std=STD, device=device, padding=PADDING, flip=True)
    views, step = store.views(seed=0, view=0), training_step(runtime)
    data_times, step_times = [], []
    for indices in batches[: rounds + 1]:
        data_times.append(seconds(lambda wanted: store.batch(wanted, views), [indices], device))
        step_times.append(seconds(step, [store.batch(indices, views)], device))
    return statistics.median(data_times[1:]), statistics.median(step_times[1:])


def main() -> None:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, default=20, help="batches per way and round")
    given = parser.parse_args()
    runtime, batch_size = prepare_runtime(), given.batch_size
    device = runtime.device

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (given.images, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    views = epoch_views(given.images, size=SIZE, padding=PADDING, flip=True, seed=0, view=0)
    order = epoch_order(given.images, seed=0, epoch=0)
    batches = [part for part in torch.split(order, batch_size) if len(part) == batch_size]

    setting = f"{len(images):,} images of 3x{SIZE}x{SIZE}, batch {batch_size}, medians of {given.rounds} rounds"
    print(f"{runtime.description}, torch {torch.__version__}; {setting}\n")
    rates = measure_ways(ways(images, views, device), batches, given.rounds, given.batches, device)
    slowest = next(iter(rates.values()))
    print("| way | images/s | ratio |\n|---|---:|---:|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / slowest:.1f} |")

    data, step = measure_share(images, batches, given.rounds, runtime)
    print(f"\n| a ResNet-8 step, {runtime.precision}, channels-last | ms | share |\n|---|---:|---:|")
    print(f"| making the batch | {1e3 * data:.2f} | {data / (data + step):.2%} |")
    print(f"| forward, backward, update | {1e3 * step:.2f} | {step / (data + step):.2%} |")


if __name__ == "__main__":
    main()
