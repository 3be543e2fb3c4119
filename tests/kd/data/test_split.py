"""The split is disjoint, complete, stratified and the same for ever."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.data.split import split, split_digest, stratified_pick
from kd.errors import DataError


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=200), share=st.floats(0, 1, exclude_max=True))
def test_parts_are_disjoint_complete_and_stratified(labels: list[int], share: float) -> None:
    count = int(share * len(labels))
    parts = split(torch.tensor(labels), count)
    assert len(parts.validation) == count
    assert sorted(parts.train.tolist() + parts.validation.tolist()) == list(range(len(labels)))
    for label in set(labels):
        exact = labels.count(label) * count / len(labels)
        held_out = sum(labels[index] == label for index in parts.validation.tolist())
        assert abs(held_out - exact) < 1


def test_split_of_fifty_thousand_is_pinned() -> None:
    parts = split(torch.arange(50_000) % 10, 5_000)
    assert parts.validation[:5].tolist() == [0, 9, 25, 36, 39]
    assert parts.digest == "039c9a2517ad0fa8be280601e4d193922e56cb01c20e367664c81600ee4778d7"


def test_digest_tells_lists_apart() -> None:
    first, second = torch.tensor([0, 1]), torch.tensor([2])
    digests = {
        split_digest(first, second),
        split_digest(second, first),
        split_digest(torch.arange(3), first[:0]),
    }
    assert len(digests) == 3


def test_a_smaller_part_lies_inside_a_larger_one() -> None:
    labels = torch.arange(1000) % 10
    small, large = stratified_pick(labels, 100, "validation"), stratified_pick(labels, 300, "validation")
    assert set(small.tolist()) < set(large.tolist())


def test_purposes_pick_independently() -> None:
    labels = torch.zeros(1000, dtype=torch.int64)
    one, other = stratified_pick(labels, 500, "validation"), stratified_pick(labels, 500, "train_subset")
    assert 200 < len(set(one.tolist()) & set(other.tolist())) < 300


def test_no_validation_leaves_all_to_train_on() -> None:
    parts = split(torch.zeros(5, dtype=torch.int64), 0)
    assert parts.train.tolist() == [0, 1, 2, 3, 4]
    assert len(parts.validation) == 0


@pytest.mark.parametrize("validation", [-1, 5, 6])
def test_a_validation_part_as_large_as_the_data_is_refused(validation: int) -> None:
    with pytest.raises(DataError, match=rf"data.validation is {validation}, but must leave some of the 5"):
        split(torch.zeros(5, dtype=torch.int64), validation)


def test_a_fraction_of_images_with_several_labels_keeps_the_share_of_every_combination() -> None:
    labels = torch.tensor([[0, 0]] * 40 + [[1, 0]] * 20 + [[1, 1]] * 20 + [[0, 1]] * 20, dtype=torch.uint8)
    parts = split(labels, 0.3)
    held_out = [tuple(row) for row in labels[parts.validation].tolist()]
    assert {row: held_out.count(row) for row in set(held_out)} == {(0, 0): 12, (1, 0): 6, (1, 1): 6, (0, 1): 6}
    assert parts.digest == split(labels, 30).digest
