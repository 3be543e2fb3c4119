"""The streams of kd.data.hashing: known answers, independence of length, uniformity."""

from __future__ import annotations

import numpy as np
import pytest

from kd.data.hashing import hash_stream, integers_below, permutation, stream_key


def test_known_answers_of_splitmix64() -> None:
    # The published first outputs for seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert hash_stream(1234567, 4).tolist() == expected


def test_a_number_does_not_depend_on_how_many_are_drawn() -> None:
    assert (hash_stream(9, 1000)[:10] == hash_stream(9, 10)).all()


def test_keys_are_stable_and_tell_words_apart() -> None:
    assert stream_key("order", 42, 3) == 5504968864575041116
    assert len({stream_key("order", 42, 3), stream_key("order", 423), stream_key("order", 4, 23)}) == 3


@pytest.mark.parametrize("limit", [1, 2, 9, 1000])
def test_integers_fill_their_range_evenly(limit: int) -> None:
    counts = np.bincount(integers_below(limit, stream_key("evenness"), 100 * limit), minlength=limit)
    assert len(counts) == limit
    assert ((counts - 100.0) ** 2 / 100).sum() < limit + 6 * (2 * limit) ** 0.5  # chi-squared


def test_permutation_holds_each_index_once() -> None:
    order = permutation(5, 10_000)
    assert sorted(order.tolist()) == list(range(10_000))
    assert (order != np.arange(10_000)).mean() > 0.99
