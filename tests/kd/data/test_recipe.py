"""Changes are functions of (seed, view, image), distributed as torchvision's transforms of the same names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from kd.data.recipe import POLICY, Changes, Recipe, blank, change, draw_changes
from kd.data.store import DeviceStore
from kd.vision_libraries import import_vision

EVERYTHING = Recipe(resized_crop=0.08, color_jitter=0.4, trivial_augment=True, rand_augment=9, erase=0.25)
SIZE, MANY = 32, 4000


def changes(count: int, recipe: Recipe = EVERYTHING, *, seed: int = 1, view: int = 2) -> Changes:
    return draw_changes(recipe, count, size=SIZE, seed=seed, view=view)


def numbers(drawn: Changes) -> list[Tensor]:
    assert drawn.crops is not None
    assert drawn.erased is not None
    return [
        drawn.crops,
        drawn.erased,
        *(slot.chosen for slot in drawn.slots),
        *(slot.magnitude for slot in drawn.slots),
    ]


@pytest.fixture(scope="module")
def transforms() -> Any:
    return import_vision("torchvision.transforms")


def test_an_images_changes_depend_on_seed_view_and_image_alone() -> None:
    few, many = numbers(changes(10)), numbers(changes(1000))
    assert all(torch.equal(one, other[:10]) for one, other in zip(few, many, strict=True))
    for other in (changes(1000, seed=2), changes(1000, view=3)):
        assert not any(torch.equal(one, two) for one, two in zip(many, numbers(other), strict=True))


def test_crops_are_distributed_as_random_resized_crop(transforms: Any) -> None:
    drawn = changes(MANY, Recipe(resized_crop=0.08)).crops
    assert drawn is not None
    torch.manual_seed(0)
    image = torch.zeros(3, SIZE, SIZE)
    library = [transforms.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(MANY)]
    for own, other in zip(drawn.T, torch.tensor(library).T, strict=True):
        assert stats.ks_2samp(own, other).pvalue > 0.001


def test_erased_boxes_are_distributed_as_random_erasing(transforms: Any) -> None:
    drawn = changes(MANY, Recipe(erase=0.25)).erased
    assert drawn is not None
    boxes = drawn[drawn[:, 2] > 0]
    assert abs(len(boxes) / MANY - 0.25) < 0.03
    torch.manual_seed(0)
    image = torch.zeros(3, SIZE, SIZE)
    library = [transforms.RandomErasing.get_params(image, (0.02, 0.33), (0.3, 3.3))[:4] for _ in range(MANY)]
    for own, other in zip(boxes.T, torch.tensor(library).T, strict=True):
        assert stats.ks_2samp(own, other).pvalue > 0.001


def test_a_policy_draws_every_operation_and_strength_evenly() -> None:
    (slot,) = changes(MANY, Recipe(trivial_augment=True)).slots
    assert stats.chisquare(slot.chosen.bincount(minlength=len(POLICY))).pvalue > 0.001
    slopes = slot.magnitude[slot.chosen == POLICY.index("shear_x")]
    assert stats.ks_1samp(slopes, stats.uniform(-0.99, 2 * 0.99).cdf).pvalue > 0.001
    bits = slot.magnitude[slot.chosen == POLICY.index("posterize")]
    assert set(bits.tolist()) == set(range(2, 9))


def test_rand_augment_has_two_operations_of_one_strength() -> None:
    first, second = changes(MANY, Recipe(rand_augment=9)).slots
    assert not torch.equal(first.chosen, second.chosen)
    turned = first.magnitude[first.chosen == POLICY.index("rotate")]
    assert torch.allclose(turned.rad2deg().abs(), torch.tensor(9.0))
    brighter = first.magnitude[first.chosen == POLICY.index("brightness")]
    assert set(brighter.mul(100).round().int().tolist()) == {73, 127}


def test_jitter_changes_three_things_in_every_order() -> None:
    slots = changes(MANY, Recipe(color_jitter=0.4)).slots
    orders = torch.stack([slot.chosen for slot in slots])
    assert len({tuple(order) for order in orders.T.tolist()}) == 6
    strengths = torch.cat([slot.magnitude for slot in slots])
    assert stats.ks_1samp(strengths, stats.uniform(0.6, 0.8).cdf).pvalue > 0.001


def test_a_batch_is_the_same_however_an_epoch_is_cut() -> None:
    images = torch.rand(12, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    drawn = changes(12)
    whole = change(images, drawn, torch.arange(12))
    parts = [change(images[part], drawn, part) for part in torch.arange(12).split(5)]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.equal(whole, images)


def test_erased_pixels_have_the_mean_colour_and_plain_images_stay() -> None:
    images = torch.randint(1, 256, (8, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    store = DeviceStore(
        images, torch.zeros(8, dtype=torch.int64), mean=[0.0] * 3, std=[1.0] * 3, recipe=Recipe(erase=1)
    )
    views, every = store.views(seed=1, view=0), torch.arange(8)
    assert views.changes is not None
    hidden = blank(views.changes, every, SIZE)
    assert hidden is not None
    seen = store.batch(every, views)
    assert torch.equal(seen == 0, hidden.expand_as(seen))
    assert torch.allclose(store.batch(every), images / 255)
