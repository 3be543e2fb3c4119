"""Small trees and archives of images, made on the spot."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from PIL import Image

CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Pack = Callable[[Path, Mapping[str, bytes]], Path]


def png(colour: int | tuple[int, int, int], size: tuple[int, int] = (32, 32), kind: str = "PNG") -> bytes:
    """Return an image file of one colour: grey for an int, else RGB."""
    buffer = io.BytesIO()
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


def write_tree(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, data in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return target


def write_tar(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write a tar, compressed as its name says."""
    kind = "gz" if target.name.endswith("gz") else ""
    with tarfile.open(target, f"w:{kind}") as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target


def write_zip(target: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(target, "w") as pack:
        for name, data in files.items():
            pack.writestr(name, data)
    return target


PACKERS: dict[str, Pack] = {
    "tree": write_tree,
    "tree.tar": write_tar,
    "tree.tar.gz": write_tar,
    "tree.tgz": write_tar,
    "tree.zip": write_zip,
}


@pytest.fixture(params=sorted(PACKERS))
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    """Return a function that writes files as a folder, and as every kind of archive."""
    name: str = request.param
    return lambda files: PACKERS[name](tmp_path / name, files)


@pytest.fixture
def tar(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    """Return a function that writes files as a .tar.gz."""
    return lambda files: write_tar(tmp_path / "some.tar.gz", files)


@pytest.fixture(scope="session")
def image_file() -> Callable[..., bytes]:
    """Return ``png``, the maker of one-colour image files."""
    return png


@pytest.fixture
def cifar_tree() -> dict[str, bytes]:
    """Return the files of a tiny CIFAR-10 in class folders: two images to train and one to test per class."""
    files = {}
    for label, name in enumerate(CIFAR_CLASSES):
        for part, count in (("train", 2), ("test", 1)):
            for number in range(count):
                files[f"{part}/{name}/{number:04d}.png"] = png((label * 20, number * 100, 7))
    return files
