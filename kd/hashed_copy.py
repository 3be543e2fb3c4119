"""Copying a file and hashing it in one pass: the checksum is of the very bytes that were written."""

from __future__ import annotations

import hashlib
import queue
import threading
from pathlib import Path

from kd.files import CHUNK_BYTES, atomic_path

RING_BUFFERS = 4


def copy_hashed(source: Path, target: Path, *, durable: bool = True) -> str:
    """Copy a file atomically, hashing in a second thread the very bytes that are written; return the SHA-256 in hex.

    ``durable`` as in :func:`kd.files.atomic_path`. A full disk leaves the older ``target`` and no half file.
    """
    hashing = _BackgroundHash()
    with (
        atomic_path(target, durable=durable) as temporary,
        open(source, "rb", buffering=0) as reader,
        open(temporary, "wb", buffering=0) as writer,
        hashing,
    ):
        while count := reader.readinto(buffer := hashing.free_buffer()):
            hashing.put(buffer, count)
            chunk = buffer[:count]
            while chunk:  # a write may take less than it was given
                chunk = chunk[writer.write(chunk) or 0 :]
    return hashing.hexdigest()


class _BackgroundHash:
    """SHA-256 in a thread (hashlib frees the interpreter) over a ring of buffers that are filled again once hashed."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _BackgroundHash:
        for _ in range(RING_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK_BYTES)))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._full.put(None)
        self._thread.join()

    def free_buffer(self) -> memoryview:
        """Return a buffer to fill."""
        return self._free.get()

    def put(self, buffer: memoryview, count: int) -> None:
        """Hash the first ``count`` bytes of a buffer, in the order of the calls."""
        self._full.put((buffer, count))

    def hexdigest(self) -> str:
        """Return the digest; only after the ``with`` block."""
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (item := self._full.get()) is not None:
            buffer, count = item
            self._digest.update(buffer[:count])
            self._free.put(buffer)
