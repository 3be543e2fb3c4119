"""Integers that look random but are a fixed function of key and position: the one source of chance here.

SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) in numpy's wrapping 64-bit integers. Unlike a library's
generator it gives the same numbers on every platform and version, and number ``i`` of a stream does not
depend on how many are drawn.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def stream_key(*words: str | int) -> int:
    """Return the 64-bit key of the stream named by ``words``; other words give an unrelated stream."""
    name = "/".join(str(word) for word in words)
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def hash_stream(key: int, count: int) -> NDArray[np.uint64]:
    """Return the first ``count`` numbers of a stream, uniform over 64 bits."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    mixed = steps + np.full(count, key, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    return mixed ^ (mixed >> np.uint64(31))


def integers_below(limit: int, key: int, count: int) -> NDArray[np.int64]:
    """Return ``count`` integers uniform over ``[0, limit)``, with ``limit`` below 2**32."""
    assert 0 < limit < 2**32
    scaled = (hash_stream(key, count) >> np.uint64(32)) * np.uint64(limit)
    return (scaled >> np.uint64(32)).astype(np.int64)


def uniform(key: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` numbers uniform over ``[0, 1)``, of 53 random bits each."""
    return (hash_stream(key, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(key: int, count: int) -> NDArray[np.int64]:
    """Return a permutation of ``range(count)``."""
    return np.argsort(hash_stream(key, count), kind="stable").astype(np.int64)
