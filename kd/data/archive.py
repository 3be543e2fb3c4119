"""Reading the files of an archive (.tar, .tar.gz, .tgz, .zip) or folder into memory; nothing is unpacked.

Archives come from strangers: a member with an absolute path, a ``..``, a link or a device, or of absurd size,
ends the reading with a DataError, and so does a damaged archive, however much of it could be read.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kd.errors import DataError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
MAX_MEMBER_BYTES = 256 << 20  # far above any image and any part of the data sets known here

Wanted = Callable[[str], bool]  # takes a file's path inside the archive, with forward slashes


def is_archive(path: Path) -> bool:
    """Return whether the name is that of an archive this module reads."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def read_files(source: Path, wanted: Wanted) -> dict[str, bytes]:
    """Return the bytes of the wanted files of a folder or archive by their path inside it, sorted by path.

    One pass over the archive. Raises DataError when it is missing, damaged or dangerous, or names a file
    twice.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if source.is_dir():
        members = _folder_files(source, wanted)
    elif not is_archive(source):
        raise DataError(f"{source}: not an archive known here ({', '.join(ARCHIVE_SUFFIXES)})")
    elif source.name.lower().endswith(".zip"):
        members = _zip_files(source, wanted)
    else:
        members = _tar_files(source, wanted)
    found: dict[str, bytes] = {}
    with _damage_named(source):
        for path, data in members:
            if path in found:
                raise DataError(f"{source}: names '{path}' twice")
            found[path] = data
    return dict(sorted(found.items()))


@contextmanager
def _damage_named(source: Path) -> Iterator[None]:
    """Turn what the standard library raises on damaged archives into one line that names the archive."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{source}: damaged or unreadable ({error})") from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: unknown compression, encryption
        raise DataError(f"{source}: cannot be read ({error})") from error


def _folder_files(folder: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    def fail(error: OSError) -> None:
        raise error

    # Links to files are read, links to folders not followed; a folder that may not be listed is an error.
    for place, _, names in os.walk(folder, onerror=fail):
        for name in names:
            path = Path(place, name)
            inside = path.relative_to(folder).as_posix()
            if wanted(inside):
                yield inside, path.read_bytes()


def _tar_files(archive: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    gzipped = archive.name.lower().endswith("gz")
    with tarfile.open(archive, "r:gz" if gzipped else "r:") as tar:
        for member in tar:
            path = _safe_path(archive, member.name)
            if member.isdir():
                continue
            if not member.isreg():
                raise DataError(f"{archive}: '{member.name}' is a link or a device; refused")
            _check_size(archive, member.name, member.size)
            if wanted(path):
                file = tar.extractfile(member)
                assert file is not None  # a regular file always has contents
                yield path, file.read()
        _check_end(tar, archive)


def _check_end(tar: tarfile.TarFile, archive: Path) -> None:
    """Raise DataError unless the archive ends with a block of zeros: tarfile ends silently at a damaged
    one.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{archive}: damaged or cut off at byte {tar.offset}")
    while tar.fileobj.read(1 << 20):  # gzip's checksum comes last
        pass


def _zip_files(archive: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as pack:
        for member in pack.infolist():
            path = _safe_path(archive, member.filename)
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)  # zero where the packer knows no Unix modes
            if kind not in (0, stat.S_IFREG):
                raise DataError(f"{archive}: '{member.filename}' is a link or a device; refused")
            _check_size(archive, member.filename, member.file_size)
            if wanted(path):
                yield path, pack.read(member)


def _safe_path(archive: Path, name: str) -> str:
    """Return a member's path without ``./``, or raise DataError when it points out of the archive."""
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or name[1:2] == ":":
        raise DataError(f"{archive}: '{name}' points out of the archive; refused")
    return posixpath.normpath(name)


def _check_size(archive: Path, name: str, size: int) -> None:
    if size > MAX_MEMBER_BYTES:
        raise DataError(f"{archive}: '{name}' has {size:,} bytes, more than the {MAX_MEMBER_BYTES:,} allowed")
