"""DeviceStore against a slow per-image reference, for every way it can be set up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from kd.data.augment import Views, epoch_order
from kd.data.store import DeviceStore

COUNT, SIZE = 30, 10


def pixels(channels: int) -> Tensor:
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (COUNT, channels, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def constants(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return (0.49, 0.48, 0.44)[:channels], (0.25, 0.24, 0.26)[:channels]


def make(channels: int = 3, **options: Any) -> DeviceStore:
    mean, std = constants(channels)
    return DeviceStore(pixels(channels), torch.arange(COUNT) % 3, mean=mean, std=std, **options)


def reference(image: Tensor, views: Views, index: int, padding: int) -> Tensor:
    """Pad, crop, then mirror, then normalise one image, as written in the papers."""
    mean, std = constants(len(image))
    padded = pad(image.double(), (padding,) * 4)
    row, column = int(views.rows[index]), int(views.columns[index])
    crop = padded[:, row : row + SIZE, column : column + SIZE]
    crop = crop.flip(2) if views.flips[index] else crop
    return (crop / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding", [0, 4])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("prepared_bytes", [0, 1 << 30])
def test_batches_equal_the_per_image_reference(channels: int, padding: int, flip: bool, prepared_bytes: int) -> None:
    store = make(channels, padding=padding, flip=flip, prepared_bytes=prepared_bytes)
    views = store.views(seed=5, view=1)
    assert views.flips.any() == flip
    indices = torch.tensor([29, 0, 7, 7, 13, 28, 1])
    batch = store.batch(indices, views)
    assert batch.shape == (7, channels, SIZE, SIZE)
    for image, index in zip(batch, indices.tolist(), strict=True):
        expected = reference(pixels(channels)[index], views, index, padding)
        torch.testing.assert_close(image, expected.float(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("prepared_bytes", [0, 1 << 30])
def test_without_views_images_are_as_they_are(prepared_bytes: int) -> None:
    store = make(padding=4, flip=True, prepared_bytes=prepared_bytes)
    mean, std = constants(3)
    plain = (pixels(3).double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    parts = list(store.in_order(8))
    assert [len(labels) for _, labels in parts] == [8, 8, 8, 6]
    torch.testing.assert_close(torch.cat([images for images, _ in parts]), plain.float(), atol=2e-6, rtol=0)
    assert torch.equal(torch.cat([labels for _, labels in parts]), store.labels)


def test_sets_kept_with_copies_and_made_batch_by_batch_agree_bit_for_bit() -> None:
    small, large = make(padding=4, flip=True), make(padding=4, flip=True, prepared_bytes=0)
    indices, views = torch.arange(COUNT), small.views(seed=0, view=0)
    assert torch.equal(small.batch(indices, views), large.batch(indices, views))


def test_channels_last_images_in_a_part_of_a_larger_array_are_read_right() -> None:
    whole = torch.cat([pixels(3), pixels(3).flip(0)]).contiguous(memory_format=torch.channels_last)
    mean, std = constants(3)
    store = DeviceStore(whole[COUNT:], torch.zeros(COUNT, dtype=torch.int64), mean=mean, std=std)
    assert torch.equal(store.batch(torch.arange(COUNT)), make().batch(torch.arange(COUNT).flip(0)))


def test_batches_are_float32_in_channels_last_memory() -> None:
    batch = make(padding=4).batch(torch.tensor([3, 4]))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_images_that_stay_on_the_host_give_the_same_bits() -> None:
    here, there = make(), make(resident=False)
    for ours, theirs in zip(here.in_order(7), there.in_order(7), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_part_of_the_images_is_that_part() -> None:
    mean, std = constants(3)
    chosen = torch.tensor([4, 9, 2])
    options = {"mean": mean, "std": std, "padding": 2, "flip": True}
    whole = DeviceStore(pixels(3)[chosen], torch.arange(COUNT)[chosen], **options)
    part = DeviceStore(pixels(3), torch.arange(COUNT), indices=chosen, **options)
    views = part.views(seed=1, view=0)
    assert part.labels.tolist() == [4, 9, 2]
    assert torch.equal(part.batch(torch.arange(3), views), whole.batch(torch.arange(3), views))


def test_freed_images_are_gone_and_labels_stay() -> None:
    store = make(padding=2, flip=True)
    store.free()
    assert (len(store), len(store.labels)) == (COUNT, COUNT)
    with pytest.raises(RuntimeError):
        store.batch(torch.tensor([0]), store.views(seed=0, view=0))


FILLING = """
import sys, torch
from kd.data.store import DeviceStore
images = torch.randint(0, 256, (30_000, 3, 32, 32), dtype=torch.uint8)
labels = torch.arange(30_000) % 10
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
DeviceStore(images[:10], labels[:10], mean=[0.5] * 3, std=[0.5] * 3, padding=4, flip=True)
before = peak()
store = DeviceStore(
    images, labels, indices=torch.arange(29_000), mean=[0.5] * 3, std=[0.5] * 3, padding=4, flip=True
)
print((peak() - before) / images.nbytes)
"""


def test_a_set_is_filled_into_its_final_place_without_a_second_copy() -> None:
    """Padded by 4 and mirrored, images of 32 pixels take 3.1 times their bytes; a second copy would make it 4.1."""
    ran = subprocess.run([sys.executable, "-c", FILLING], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 3.5


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("restored_threads")
def test_threads_and_cut_into_batches_change_no_bit() -> None:
    images = torch.randint(0, 256, (300, 3, 32, 32), dtype=torch.uint8)
    mean, std = constants(3)

    def batches(threads: int, size: int) -> Tensor:
        torch.set_num_threads(threads)
        labels = torch.zeros(300, dtype=torch.int64)
        store = DeviceStore(images, labels, mean=mean, std=std, padding=4, flip=True)
        views, order = store.views(seed=1, view=3), epoch_order(300, seed=1, epoch=3)
        return torch.cat([store.batch(part, views) for part in torch.split(order, size)])

    assert torch.equal(batches(1, 300), batches(2, 37))


def test_a_batch_made_after_a_resume_is_the_same_batch() -> None:
    def batch(number: int) -> Tensor:
        store = make(padding=4, flip=True)
        order = epoch_order(len(store), seed=9, epoch=2)
        return store.batch(order[number * 8 : (number + 1) * 8], store.views(seed=9, view=2))

    uninterrupted = [batch(number) for number in range(3)]
    assert torch.equal(batch(2), uninterrupted[2])
    assert not torch.equal(uninterrupted[1], uninterrupted[2])


def test_cutout_blanks_the_square_around_each_centre_and_nothing_else() -> None:
    plain, holed = make(padding=2, flip=True), make(padding=2, flip=True, cutout=4)
    views = holed.views(seed=3, view=1)
    assert views.holes is not None
    whole, blanked = (
        plain.batch(torch.arange(COUNT), views_without_holes(views)),
        holed.batch(torch.arange(COUNT), views),
    )
    for index, (row, column) in enumerate(views.holes.tolist()):
        expected = whole[index].clone()
        expected[:, max(row - 2, 0) : row + 2, max(column - 2, 0) : column + 2] = 0
        assert torch.equal(blanked[index], expected)
    assert next(iter(holed.in_order(COUNT)))[0].equal(next(iter(plain.in_order(COUNT)))[0])


def views_without_holes(views: Views) -> Views:
    return replace(views, holes=None)


@pytest.mark.parametrize(("size", "batch"), [(8, 512), (64, 512), (65, 496), (224, 41), (4000, 1)])
def test_large_images_are_evaluated_in_smaller_batches(size: int, batch: int) -> None:
    image = torch.zeros(1, 1, size, size, dtype=torch.uint8)
    store = DeviceStore(image, torch.zeros(1, dtype=torch.int64), mean=[0.5], std=[0.2])
    assert store.evaluation_batch == batch
    assert len(list(store.in_order())) == 1


@pytest.mark.parametrize("prepared_bytes", [0, 1 << 30])
def test_reflected_edges_are_those_of_torch(prepared_bytes: int) -> None:
    store = make(padding=3, flip=True, edges="reflect", prepared_bytes=prepared_bytes)
    views = store.views(seed=5, view=1)
    mean, std = constants(3)
    for index, image in enumerate(store.batch(torch.arange(COUNT), views)):
        padded = pad(pixels(3)[index].float(), (3,) * 4, mode="reflect")
        row, column = int(views.rows[index]), int(views.columns[index])
        crop = padded[:, row : row + SIZE, column : column + SIZE]
        crop = crop.flip(2) if views.flips[index] else crop
        expected = (crop / 255 - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)
        torch.testing.assert_close(image, expected, atol=2e-6, rtol=0)
