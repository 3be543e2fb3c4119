"""Data sets that are kept decoded: jobs at once decode once; what decides the pixels decides the store."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kd.data.arrays import ImageArrays
from kd.data.decoded_cache import _locked, decoded_once
from kd.data.sources.synthetic_rgb_ir import synthetic_rgb_ir
from tests.conftest import need


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


def frames(*, black: bool = False) -> ImageArrays:
    arrays = synthetic_rgb_ir(None, images=12, size=8)
    return replace(arrays, train_images=torch.zeros_like(arrays.train_images)) if black else arrays


def never() -> ImageArrays:
    raise AssertionError("the store was not read")


def test_a_store_is_read_again_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o002)
    try:
        decoded_once(tmp_path, {}, [], frames)
    finally:
        os.umask(mask)
    assert decoded_once(tmp_path, {}, [], never).image_size == 8


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path, capsys) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    decoded_once(tmp_path, {}, [], frames)
    (lock,) = (tmp_path / ".kd").glob("*.lock")
    for store in (tmp_path / ".kd").glob("*.s*"):
        store.unlink()
    lock.unlink()
    lock.symlink_to(tmp_path / "thesis.tex")
    assert decoded_once(tmp_path, {}, [], frames).image_size == 8
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    assert "are not kept" in capsys.readouterr().err


def make_a_link(store: Path) -> None:
    store.rename(store.with_suffix(".moved"))
    store.symlink_to(store.with_suffix(".moved"))


def let_others_write(store: Path) -> None:
    store.chmod(0o666)


def make_a_pipe(store: Path) -> None:
    store.unlink()
    os.mkfifo(store)


@pytest.mark.parametrize("change", [make_a_link, let_others_write, make_a_pipe])
def test_a_store_that_another_may_have_made_is_decoded_anew(tmp_path: Path, change: Callable[[Path], None]) -> None:
    decoded_once(tmp_path, {}, [], lambda: frames(black=True))
    (store,) = (tmp_path / ".kd").glob("*.safetensors")
    change(store)
    assert decoded_once(tmp_path, {}, [], frames).train_images.max() > 0
    assert decoded_once(tmp_path, {}, [], never).train_images.max() > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another user can be made by root only")
def test_a_stranger_s_store_is_not_read_and_not_replaced(tmp_path: Path, monkeypatch) -> None:
    data, shared, stranger = tmp_path / "data", tmp_path / "shared", 54321
    data.mkdir()
    monkeypatch.setenv("KD_CACHE", str(shared))
    decoded_once(data, {}, [], lambda: frames(black=True))
    for path in shared.glob("*.s*"):
        os.chown(path, stranger, stranger)
    for decode in (frames, never):
        assert decoded_once(data, {}, [], decode).train_images.max() > 0
    assert len(list(shared.glob("*.safetensors"))) == 2
    os.chown(data, stranger, stranger)  # whoever owns the data decides the pixels anyway
    assert decoded_once(data, {}, [], never).train_images.max() == 0


def test_a_lock_that_another_user_holds_keeps_nobody_waiting(tmp_path: Path) -> None:
    need(os.geteuid() == 0, "files of other users need root")
    lock = tmp_path / "x.lock"
    lock.touch()
    os.chown(lock, 65534, 65534)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with _locked(lock):
            assert lock.stat().st_uid == 65534
