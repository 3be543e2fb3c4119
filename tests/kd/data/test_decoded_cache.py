"""Data sets that are kept decoded: jobs at once decode once; what decides the pixels decides the store."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from kd.data.arrays import ImageArrays
from kd.data.decoded_cache import decoded_once
from kd.data.sources.synthetic_rgb_ir import synthetic_rgb_ir


def test_jobs_that_start_at_once_wait_for_the_one_that_decodes(tmp_path: Path) -> None:
    decoded: list[ImageArrays] = []
    found: list[ImageArrays] = []

    def decode() -> ImageArrays:
        time.sleep(0.2)  # the others arrive meanwhile
        decoded.append(synthetic_rgb_ir(None, images=12, size=8))
        return decoded[-1]

    threads = [threading.Thread(target=lambda: found.append(decoded_once(tmp_path, {}, [], decode))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(decoded) == 1
    assert all((each.train_images == decoded[0].train_images).all() for each in found)


def test_other_settings_have_a_store_of_their_own(tmp_path: Path) -> None:
    small, large = (synthetic_rgb_ir(None, images=12, size=size) for size in (8, 9))
    for _ in range(2):
        assert decoded_once(tmp_path, {"size": 8}, [], lambda: small).image_size == 8
        assert decoded_once(tmp_path, {"size": 9}, [], lambda: large).image_size == 9
    assert len(list((tmp_path / ".kd").glob("*.safetensors"))) == 2
