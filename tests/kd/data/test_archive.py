"""Folders and archives read the same; attacks and damage are refused in one line that names the archive."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kd.data import archive
from kd.data.archive import list_contents, read_files
from kd.data.hashing import hash_stream
from kd.errors import DataError

Pack = Callable[[Mapping[str, bytes]], Path]


def everything(path: str) -> bool:
    return True


def test_every_kind_holds_the_same_files_in_sorted_order(pack: Pack) -> None:
    files = {"b/2.txt": b"two", "a/1.txt": b"one", "b/10.txt": b""}
    read = read_files(pack(files), everything)
    assert read == files
    assert list(read) == ["a/1.txt", "b/10.txt", "b/2.txt"]


def test_only_wanted_files_are_read(pack: Pack) -> None:
    source = pack({"a.txt": b"one", "b.bin": b"two"})
    assert read_files(source, lambda path: path.endswith(".bin")) == {"b.bin": b"two"}


def test_a_leading_dot_folder_is_no_part_of_a_name(tar: Pack) -> None:
    assert list(read_files(tar({"./a/1.txt": b"one"}), everything)) == ["a/1.txt"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:/evil", "..\\evil"])
def test_names_that_point_out_are_refused(pack: Pack, name: str) -> None:
    if (source := _packed(pack, {name: b"x"})).is_dir():
        return  # a folder cannot hold such a name
    with pytest.raises(DataError, match="points out of the archive; refused") as refused:
        read_files(source, everything)
    assert str(source) in str(refused.value)


def _packed(pack: Pack, files: Mapping[str, bytes]) -> Path:
    """Pack, where a folder gets a harmless file instead."""
    source = pack({"harmless": b""})
    return source if source.is_dir() else pack(files)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    source = tmp_path / "some.tar"
    with tarfile.open(source, "w") as tar:
        member = tarfile.TarInfo("train/cat/1.png")
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member)
    with pytest.raises(DataError, match=r"'train/cat/1.png' is a link or a device; refused"):
        read_files(source, everything)


def test_links_of_a_zip_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "some.zip"
    member = zipfile.ZipInfo("train/cat/1.png")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(source, "w") as pack:
        pack.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device; refused"):
        read_files(source, everything)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_members_of_absurd_size_are_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch, pack: Pack
) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1000)
    source = pack({"big": bytes(1001)})
    if source.is_dir():
        assert read_files(source, everything) == {"big": bytes(1001)}  # one's own folder is trusted
        return
    with pytest.raises(DataError, match="'big' has 1,001 bytes, more than the 1,000 allowed"):
        read_files(source, everything)


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "some.tar"
    with tarfile.open(source, "w") as tar:
        for data in (b"one", b"two"):
            member = tarfile.TarInfo("a")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    with pytest.raises(DataError, match="names 'a' twice"):
        read_files(source, everything)


def noise(size: int) -> bytes:
    """Return bytes that do not compress, the same each time."""
    return hash_stream(size, size).tobytes()[:size]


def test_an_archive_cut_off_anywhere_is_refused(pack: Pack) -> None:
    source = pack({f"{number}.bin": noise(3000 + number) for number in range(4)})
    if source.is_dir():
        assert len(read_files(source, everything)) == 4
        return
    whole = source.read_bytes()
    end = len(whole.rstrip(b"\0")) if source.suffix == ".tar" else len(whole)  # zeros pad a tar
    for cut in range(1, 60):
        source.write_bytes(whole[: end * cut // 60])
        with pytest.raises(DataError) as refused:
            read_files(source, everything)
        assert str(source) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_tar_cut_off_between_two_members_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "some.tar"
    with tarfile.open(source, "w") as tar:
        for name in ("a", "b"):
            member = tarfile.TarInfo(name)
            member.size = 512
            tar.addfile(member, io.BytesIO(bytes(range(256)) * 2))
    source.write_bytes(source.read_bytes()[:1024])  # the first member, whole
    with pytest.raises(DataError, match="damaged or cut off at byte 1024"):
        read_files(source, everything)


def test_damaged_bytes_inside_a_zip_are_noticed(tmp_path: Path) -> None:
    source = tmp_path / "some.zip"
    with zipfile.ZipFile(source, "w") as pack:
        pack.writestr("a", b"0123456789")
    source.write_bytes(source.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(DataError, match="Bad CRC-32"):
        read_files(source, everything)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("gone.tar", None, "no such file or folder"),
        ("some.rar", b"x", "not an archive known here"),
        ("some.tar.gz", b"this is no archive", "damaged or unreadable"),
        ("some.tar", b"", "damaged or unreadable"),
        ("some.zip", b"this is no archive", "damaged or unreadable"),
    ],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, data: bytes | None, message: str) -> None:
    source = tmp_path / name
    if data is not None:
        source.write_bytes(data)
    with pytest.raises(DataError, match=message) as refused:
        read_files(source, everything)
    assert str(source) in str(refused.value)


def test_folders_and_files_that_nobody_wants_are_listed_and_hidden_ones_are_not(tmp_path: Path) -> None:
    (tmp_path / "set/train/cow").mkdir(parents=True)
    (tmp_path / "set/train/.hidden").mkdir()
    (tmp_path / "set/train/a.txt").write_bytes(b"x")
    with tarfile.open(tmp_path / "set.tar", "w") as tar:
        tar.add(tmp_path / "set", ".")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as pack:
        for path in sorted((tmp_path / "set").rglob("*")):
            pack.write(path, path.relative_to(tmp_path / "set"))
    for name in ("set", "set.tar", "set.zip"):
        contents = list_contents(tmp_path / name)
        assert [folder for folder in contents.folders if folder != "."] == ["train", "train/cow"]
        assert (contents.files, contents.others) == ({}, ["train/a.txt"])


def test_a_zip_written_with_backslashes_holds_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as pack:
        pack.writestr(zipfile.ZipInfo("train\\cow\\1.png"), b"x")
    assert read_files(tmp_path / "some.zip", everything) == {"train/cow/1.png": b"x"}


@pytest.mark.parametrize("name", ["many.zip", "many.tar.gz"])
def test_an_archive_that_unpacks_to_far_more_than_it_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 1 << 20)
    zeros, source = bytes(1 << 20), tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as pack:
            for number in range(4):
                pack.writestr(f"{number}", zeros)
    else:
        with tarfile.open(source, "w:gz") as tar:
            for number in range(4):
                member = tarfile.TarInfo(f"{number}")
                member.size = len(zeros)
                tar.addfile(member, io.BytesIO(zeros))
    read: list[str] = []
    with pytest.raises(DataError, match=r"bytes that unpack to [\d,]+ or more, over 50 times as much; refused"):
        read_files(source, lambda path: not read.append(path))
    assert len(read) < 2  # before the memory is taken


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_tar_header_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("huge")
    member.type, member.size = kind, 2 << 30
    source = tmp_path / "some.tar"
    source.write_bytes(member.tobuf(tarfile.USTAR_FORMAT) + bytes(10_240))
    with pytest.raises(DataError, match="a header of more than 1,048,576 bytes; refused"):
        read_files(source, everything)


def test_long_names_of_honest_archives_are_read_and_absurd_ones_refused(tmp_path: Path) -> None:
    for length, kind in ((3000, tarfile.PAX_FORMAT), (3000, tarfile.GNU_FORMAT), (5000, tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / "some.tar", "w", format=kind) as tar:
            tar.addfile(tarfile.TarInfo("n" * length), io.BytesIO())
        if length == 3000:
            assert list(read_files(tmp_path / "some.tar", everything)) == ["n" * length]
        else:
            with pytest.raises(DataError, match="is a name of 5,000 characters; refused"):
                read_files(tmp_path / "some.tar", everything)


def test_more_members_than_allowed_are_refused(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    source = pack({"a": b"", "b": b"", "c": b""})
    if source.is_dir():
        assert len(read_files(source, everything)) == 3
        return
    with pytest.raises(DataError, match="has more than 2 members; refused"):
        read_files(source, everything)


def test_a_zip_member_larger_than_its_entry_says_takes_no_more_memory(tmp_path: Path) -> None:
    source = tmp_path / "some.zip"
    with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("a", bytes(1 << 20))
    size = (1 << 20).to_bytes(4, "little")
    source.write_bytes(source.read_bytes().replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(DataError, match=r"some.zip: .*(damaged|Bad CRC-32)"):
        read_files(source, everything)


def test_terminal_escapes_in_names_are_printed_as_text(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        member = tarfile.TarInfo("a\x1b]0;title\x07")
        member.type = tarfile.SYMTYPE
        tar.addfile(member)
    with pytest.raises(DataError, match=r"'a\\x1b\]0;title\\x07' is a link"):
        read_files(tmp_path / "some.tar", everything)


def test_a_folder_may_hold_links_to_files(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real")
    assert read_files(tmp_path / "data", everything) == {"link": b"x"}
