"""Pairing feature maps and changing their size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from kd.errors import SpecError
from kd.losses.maps import _averaging, enlarge, middle, paired, pool, same_size

MAPS = [torch.full((1, 1, 1, 1), float(stage)) for stage in (1, 2, 3)]


def stages(pairs: list) -> list[tuple[float, float]]:
    return [(student.item(), teacher.item()) for student, teacher in pairs]


def test_networks_of_equally_many_stages_are_compared_stage_by_stage_others_at_the_last() -> None:
    assert stages(paired(MAPS, MAPS, None)) == [(1, 1), (2, 2), (3, 3)]
    assert stages(paired(MAPS[:2], MAPS, None)) == [(2, 3)]
    assert stages(paired(MAPS[:2], MAPS, [2])) == [(2, 2)]


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_the_middle_pair_is_the_earlier_one_of_two(count: int, expected: int) -> None:
    maps = [torch.full((1,), float(stage)) for stage in range(1, count + 1)]
    assert stages(middle(list(zip(maps, maps, strict=True)))) == [(expected, expected)]


def test_a_stage_that_a_network_lacks_is_a_mistake_in_one_line() -> None:
    with pytest.raises(SpecError, match="the student has no stage 3; its feature maps end at 2"):
        paired(MAPS[:2], MAPS, [1, 3])
    with pytest.raises(SpecError, match="the teacher has no stage 4"):
        paired([*MAPS, MAPS[0]], MAPS, [4])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 2), (4, 7), (5, 5)])
def test_pooling_averages_the_regions_that_torch_does_and_passes_their_gradients(size: tuple[int, int]) -> None:
    ours = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    a, b = pool(ours, *size), F.adaptive_avg_pool2d(theirs, size)
    torch.testing.assert_close(a, b)
    a.square().sum().backward()
    b.square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_averaging_matrices_are_made_once_and_serve_gradients_wherever_they_were_made() -> None:
    _averaging.cache_clear()
    maps = torch.randn(1, 2, 8, 8, requires_grad=True)
    with torch.inference_mode():
        pool(maps, 4, 4)
    pool(maps, 4, 4).sum().backward()
    assert _averaging.cache_info().misses == 1
    torch.testing.assert_close(maps.grad, torch.full_like(maps, 1 / 4))


def test_enlarging_repeats_the_nearest_pixel() -> None:
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert enlarge(maps, 2, 4).tolist() == [[[[1, 1, 2, 2], [3, 3, 4, 4]]]]
    assert enlarge(maps, 1, 2).tolist() == [[[[1, 2]]]]


@pytest.mark.parametrize(("student", "teacher"), [((8, 4), (4, 8)), ((2, 2), (2, 2))])
def test_a_pair_comes_out_at_the_smaller_size_in_full_precision_with_the_teacher_cut_off(student, teacher) -> None:
    ours = torch.ones(1, 2, *student, dtype=torch.bfloat16, requires_grad=True)
    theirs = torch.ones(1, 3, *teacher, dtype=torch.bfloat16, requires_grad=True)
    s, t = same_size((ours, theirs))
    assert s.shape[-2:] == t.shape[-2:] == (min(student[0], teacher[0]), min(student[1], teacher[1]))
    assert s.dtype == t.dtype == torch.float32
    assert (s.requires_grad, t.requires_grad) == (True, False)
