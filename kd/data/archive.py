"""Reading the files of an archive (.tar, .tar.gz, .tgz, .zip) or folder into memory; nothing is unpacked.

Archives come from strangers: a member with an absolute path, a ``..``, a link or a device ends the reading with a
DataError, and so does a damaged archive, however much of it could be read. A few megabytes can be made to unpack to
gigabytes, so sizes are compared with what is allowed before the memory is taken.
"""

from __future__ import annotations

import gzip
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from kd.data.folder_walk import walk
from kd.errors import DataError, printable

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
# Far above any image and any set known here.
MAX_MEMBER_BYTES = 256 << 20
MAX_MEMBERS = 5_000_000
MAX_TOTAL_BYTES = 64 << 30
# Images hardly shrink in an archive and tables by 20; a bomb shrinks by 1,000. The first bytes are free: a few blank
# images shrink well too.
MAX_RATIO = 50
FREE_BYTES = 256 << 20
MAX_HEADER_BYTES = 1 << 20  # of one tar member, with its long name
MAX_NAME = 4096

Wanted = Callable[[str], bool]  # takes a file's path inside the archive, with forward slashes


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """The wanted files' bytes by path, and the paths of other files and of folders; each sorted, none hidden."""

    files: dict[str, bytes] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


class _Member:
    """A file or folder that was met; ``data`` is None unless it is a wanted file."""

    __slots__ = ("data", "is_folder", "path")

    def __init__(self, path: str, data: bytes | None = None, *, is_folder: bool = False) -> None:
        self.path, self.data, self.is_folder = path, data, is_folder


def is_archive(path: Path) -> bool:
    """Return whether the name is that of an archive this module reads."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def read_files(source: Path, wanted: Wanted) -> dict[str, bytes]:
    """Return the bytes of the wanted files of a folder or archive by their path inside it. Raises as read_contents."""
    return read_contents(source, wanted).files


def list_contents(source: Path) -> Contents:
    """Return what a folder or archive holds without reading a file's bytes. Raises as read_contents."""
    return read_contents(source, lambda path: False)


def read_contents(source: Path, wanted: Wanted) -> Contents:
    """Return what a folder or archive holds, with the bytes of the wanted files.

    One pass over the archive. Raises DataError when it is missing, damaged or dangerous, or names a file
    twice.
    """
    if not source.exists():
        raise DataError(f"{source}: no such file or folder")
    if source.is_dir():
        members = _folder_members(source, wanted)
    elif not is_archive(source):
        raise DataError(f"{source}: not an archive known here ({', '.join(ARCHIVE_SUFFIXES)})")
    elif source.name.lower().endswith(".zip"):
        members = _zip_members(source, wanted)
    else:
        members = _tar_members(source, wanted)
    contents = Contents()
    with _damage_named(source):
        for member in members:
            if _is_hidden(member.path):
                continue
            if member.data is None:
                (contents.folders if member.is_folder else contents.others).append(member.path)
            elif member.path in contents.files:
                raise DataError(f"{source}: names '{printable(member.path)}' twice")
            else:
                contents.files[member.path] = member.data
    return Contents(
        files=dict(sorted(contents.files.items())), others=sorted(contents.others), folders=sorted(contents.folders)
    )


def _is_hidden(path: str) -> bool:
    """Return whether desktop systems hide a path; macOS puts its own files into archives under __MACOSX."""
    return path.startswith((".", "__MACOSX/")) or "/." in path


@contextmanager
def _damage_named(source: Path) -> Iterator[None]:
    """Turn what the standard library raises on damaged archives into one line that names the archive."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{source}: damaged or unreadable ({printable(str(error))})") from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: unknown compression, encryption
        raise DataError(f"{source}: cannot be read ({printable(str(error))})") from error


def _folder_members(folder: Path, wanted: Wanted) -> Iterator[_Member]:
    for path, is_folder in walk(folder):
        read = not is_folder and wanted(path)
        yield _Member(path, (folder / path).read_bytes() if read else None, is_folder=is_folder)


class _Bounds:
    """What an archive may unpack to, counted as its members are met. Raises DataError past a bound."""

    def __init__(self, archive: Path) -> None:
        self._archive, self._packed, self._members = archive, archive.stat().st_size, 0

    def member(self, name: str, size: int) -> None:
        """Count a member."""
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise DataError(f"{self._archive}: has more than {MAX_MEMBERS:,} members; refused")
        if size > MAX_MEMBER_BYTES:
            what = f"'{printable(name)}' has {size:,} bytes"
            raise DataError(f"{self._archive}: {what}, more than the {MAX_MEMBER_BYTES:,} allowed")

    def unpacked(self, total: int) -> None:
        """Compare what all members unpack to with the size of the archive."""
        if total > MAX_TOTAL_BYTES:
            raise DataError(f"{self._archive}: unpacks to more than the {MAX_TOTAL_BYTES:,} bytes allowed")
        require_ratio(self._archive, total, self._packed)


def require_ratio(source: Path, unpacked: int, packed: int) -> None:
    """Raise DataError where so many bytes out of so few are no images but an attack on the memory."""
    if unpacked > FREE_BYTES + MAX_RATIO * packed:
        raise DataError(
            f"{source}: {packed:,} bytes that unpack to {unpacked:,} or more, over {MAX_RATIO} times as much; refused"
        )


class _BoundedReader:
    """A file as tarfile reads it, which refuses to read more than ``left`` bytes: tarfile trusts sizes in headers."""

    def __init__(self, archive: Path, file: IO[bytes]) -> None:
        self._archive, self._file, self.left = archive, file, MAX_HEADER_BYTES
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int) -> bytes:
        if size > self.left:
            raise DataError(f"{self._archive}: a header of more than {MAX_HEADER_BYTES:,} bytes; refused")
        self.left -= size
        return self._file.read(size)


def _tar_members(archive: Path, wanted: Wanted) -> Iterator[_Member]:
    bounds = _Bounds(archive)
    with ExitStack() as opened:
        file: IO[bytes] = opened.enter_context(archive.open("rb"))
        if archive.name.lower().endswith("gz"):
            file = opened.enter_context(cast(IO[bytes], gzip.GzipFile(fileobj=file)))
        reader = _BoundedReader(archive, file)
        tar = opened.enter_context(tarfile.open(fileobj=cast(IO[bytes], reader), mode="r:"))
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # kept for lookups by name, which nobody does here
            path = _safe_path(archive, member.name)
            bounds.member(member.name, member.size)
            bounds.unpacked(tar.offset)
            if member.isdir():
                yield _Member(path, is_folder=True)
            elif not member.isreg():
                raise DataError(f"{archive}: '{printable(member.name)}' is a link or a device; refused")
            else:
                reader.left = 2 * MAX_MEMBER_BYTES
                contents = tar.extractfile(member)
                assert contents is not None  # a regular file always has contents
                yield _Member(path, contents.read() if wanted(path) else None)
            reader.left = MAX_HEADER_BYTES
        _check_end(file, tar.offset, archive)


def _check_end(file: IO[bytes], end: int, archive: Path) -> None:
    """Raise DataError unless the archive ends with a block of zeros: tarfile ends silently at a damaged
    one.
    """
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{archive}: damaged or cut off at byte {end}")
    while file.read(1 << 20):  # gzip's checksum comes last
        pass


def _zip_members(archive: Path, wanted: Wanted) -> Iterator[_Member]:
    bounds = _Bounds(archive)
    with zipfile.ZipFile(archive) as pack:
        members = pack.infolist()
        for member in members:
            bounds.member(member.filename, member.file_size)
        bounds.unpacked(sum(member.file_size for member in members))
        for member in members:
            path = _safe_path(archive, member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # zero where the packer knows no Unix modes
            if member.is_dir() or kind == stat.S_IFDIR:
                yield _Member(path, is_folder=True)
            elif kind not in (0, stat.S_IFREG):
                raise DataError(f"{archive}: '{printable(member.filename)}' is a link or a device; refused")
            else:
                yield _Member(path, _unzipped(archive, pack, member) if wanted(path) else None)


def _unzipped(archive: Path, pack: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes. They are asked for by number: a member may be larger than its entry says."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        name = f"'{printable(member.filename)}'"
        raise DataError(f"{archive}: {name} is packed by a rare method; pack it by 'deflate' or 'store'")
    with pack.open(member) as file:
        data = file.read(member.file_size)
    if len(data) != member.file_size:
        raise DataError(f"{archive}: '{printable(member.filename)}' is damaged or cut off")
    return data


def _safe_path(archive: Path, name: str) -> str:
    """Return a member's path without ``./``, or raise DataError when it points out of the archive.

    Some packers of Windows write backslashes.
    """
    path = name.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or re.match("[A-Za-z]:/", path):
        raise DataError(f"{archive}: '{printable(name)}' points out of the archive; refused")
    if len(name) > MAX_NAME:
        raise DataError(f"{archive}: '{printable(name[:40])}…' is a name of {len(name):,} characters; refused")
    return posixpath.normpath(path)
