"""Only plain values and byte arrays come out of a pickle; whatever would run something does not."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd.data.plain_pickle import PickledArray, load_plain
from kd.errors import DataError


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_plain_values_and_arrays_come_out(protocol: int) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    value = {b"data": array, b"labels": [1, 2, 3], b"none": None, b"pair": (1.5, True)}
    loaded = load_plain(pickle.dumps(value, protocol), "some file")
    assert isinstance(loaded[b"data"], PickledArray)
    assert loaded.pop(b"data").bytes_array().tolist() == array.tolist()
    assert loaded == {b"labels": [1, 2, 3], b"none": None, b"pair": (1.5, True)}


def test_a_pickle_as_python_2_wrote_it_is_read() -> None:
    # What Python 2.7 writes for {'data': array([[7, 8]], dtype=uint8), 'labels': [3]} in protocol 2.
    written = (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
        b"\x85U\x01b\x87Rq\x05(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|"
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x07\x08tbU\x06labelsq\x08]q\tK\x03au."
    )
    loaded = load_plain(written, "some file")
    assert loaded[b"data"].bytes_array().tolist() == [[7, 8]]
    assert loaded[b"labels"] == [3]


class Attack:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_calls_are_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "made"
    for attack in (Attack(os.mkdir, str(target)), Attack(eval, f"__import__('os').mkdir({str(target)!r})")):
        data = pickle.dumps([attack], protocol)
        pickle.loads(data)
        assert target.is_dir()  # it works where nothing forbids it
        target.rmdir()
        with pytest.raises(DataError, match=r"^some file: .*is not allowed\)$"):
            load_plain(data, "some file")
        assert not target.exists()


@pytest.mark.parametrize(
    "value",
    [
        Attack(getattr, "text", "upper"),
        Attack(np.memmap, "file"),
        Attack(np.load, "file"),
        np.arange,
        pickle.loads,
    ],
)
def test_other_names_are_refused(value: object) -> None:
    with pytest.raises(DataError, match="is not allowed"):
        load_plain(pickle.dumps(value), "some file")


def test_codecs_other_than_latin1_are_refused() -> None:
    data = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x04\x00\x00\x00zlib\x86R."
    with pytest.raises(DataError, match="codec 'zlib' is not allowed"):
        load_plain(data, "some file")


@pytest.mark.parametrize(
    "array",
    [np.arange(3), np.asfortranarray(np.zeros((2, 2), np.uint8)), np.array([{}, 1], dtype=object)],
    ids=["int64", "Fortran order", "objects"],
)
def test_other_arrays_than_bytes_in_c_order_are_refused(array: np.ndarray[Any, Any]) -> None:
    loaded = load_plain(pickle.dumps(array, 2), "some file")
    with pytest.raises(ValueError, match="not an array"):
        loaded.bytes_array()


def test_damaged_bytes_end_in_one_line() -> None:
    whole = pickle.dumps({b"data": np.arange(12, dtype=np.uint8), b"labels": [1]}, 2)
    for cut in range(len(whole)):
        with pytest.raises(DataError, match=r"^some file: "):
            load_plain(whole[:cut], "some file")
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x15
        with suppress(DataError):  # some changes still give a pickle; none may end in another error
            load_plain(bytes(changed), "some file")
