"""Class folders become the same arrays from a folder and from every kind of archive."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image

from kd.data.decode import Decoding
from kd.data.image_tree import read_image_tree
from kd.errors import DataError

Pack = Callable[[Mapping[str, bytes]], Path]
Png = Callable[..., bytes]

EXACT = Decoding(size=32, channels=3, resize=False)
FITTED = Decoding(size=8, channels=3, resize=True)


@pytest.fixture
def files(image_file: Png) -> dict[str, bytes]:
    return {
        "train/dog/b.png": image_file((2, 0, 0)),
        "train/dog/a.png": image_file((1, 0, 0)),
        "train/cat/z.PNG": image_file((3, 0, 0)),
        "test/dog/a.png": image_file((5, 0, 0)),
        "test/cat/a.png": image_file((4, 0, 0)),
        "readme.txt": b"about",
        "train/dog/.hidden.png": b"no image",
        "__MACOSX/train/dog/._a.png": b"no image",
    }


def test_images_are_sorted_by_class_and_name(pack: Pack, files: dict[str, bytes]) -> None:
    tree = read_image_tree(pack(files), EXACT)
    assert tree.classes == ("cat", "dog")
    assert tree.train_images.shape == (3, 3, 32, 32)
    assert tree.train_images.dtype == torch.uint8
    assert tree.train_images[:, 0, 0, 0].tolist() == [3, 1, 2]
    assert tree.train_labels.tolist() == [0, 1, 1]
    assert tree.test_images[:, 0, 0, 0].tolist() == [4, 5]
    assert tree.test_labels.tolist() == [0, 1]


def test_one_outer_folder_makes_no_difference(tar: Pack, files: dict[str, bytes]) -> None:
    inner = {f"my data/{name}": data for name, data in files.items() if not name.startswith("__")}
    assert read_image_tree(tar(inner), EXACT).train_images[:, 0, 0, 0].tolist() == [3, 1, 2]


def test_pixels_keep_their_place(tar: Pack, image_file: Png) -> None:
    image = Image.new("RGB", (32, 32))
    image.putpixel((5, 2), (10, 20, 30))  # column 5, row 2
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    files = {f"{part}/{name}/1.png": buffer.getvalue() for part in ("train", "test") for name in "ab"}
    images = read_image_tree(tar(files), EXACT).train_images
    assert images[0, :, 2, 5].tolist() == [10, 20, 30]
    assert images[0].sum() == 60


def test_other_sizes_are_scaled_and_cut_to_the_centre(tar: Pack) -> None:
    wide = Image.new("RGB", (64, 16))
    wide.paste((200, 100, 50), (24, 0, 40, 16))  # the centre square
    buffer = io.BytesIO()
    wide.save(buffer, "PNG")
    files = {f"{part}/{name}/1.png": buffer.getvalue() for part in ("train", "test") for name in "ab"}
    images = read_image_tree(tar(files), FITTED).train_images
    assert images.shape == (2, 3, 8, 8)
    assert torch.unique(images[0].flatten(1), dim=1).tolist() == [[200], [100], [50]]


@pytest.mark.parametrize(("channels", "expected"), [(1, [[76]]), (3, [[255], [0], [0]])])
def test_colours_become_the_channels_asked_for(
    tar: Pack, image_file: Png, channels: int, expected: list[list[int]]
) -> None:
    red = image_file((255, 0, 0))
    files = {f"{part}/{name}/1.png": red for part in ("train", "test") for name in "ab"}
    images = read_image_tree(tar(files), Decoding(size=32, channels=channels, resize=False)).train_images
    assert torch.unique(images[0].flatten(1), dim=1).tolist() == expected


def test_grey_jpegs_of_more_than_one_chunk_of_a_thread_are_in_order(tar: Pack, image_file: Png) -> None:
    files = {f"train/a/{number:04d}.jpg": image_file(number % 251, (8, 8), "JPEG") for number in range(1300)}
    files |= {"test/a/1.jpg": image_file(0, (8, 8), "JPEG")}
    images = read_image_tree(tar(files), Decoding(size=8, channels=1, resize=False)).train_images
    assert images[:, 0, 0, 0].tolist() == [number % 251 for number in range(1300)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train/dog/a.png": b"no image"}, "'train/dog/a.png' is no image that can be read"),
        ({"test/bird/a.png": None}, "test/ has classes that train/ has not: bird"),
        ({"more/train/dog/a.png": None}, r"holds more than one data set \(\., more\)"),
    ],
)
def test_what_is_wrong_is_named(
    pack: Pack, files: dict[str, bytes], image_file: Png, changes: dict[str, bytes | None], message: str
) -> None:
    extra = {name: data if data is not None else image_file((0, 0, 0)) for name, data in changes.items()}
    source = pack(files | extra)
    with pytest.raises(DataError, match=message) as refused:
        read_image_tree(source, EXACT)
    assert str(source) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_sizes_are_refused_where_the_size_is_given(pack: Pack, files: dict[str, bytes], image_file: Png) -> None:
    source = pack(files | {"train/dog/c.png": image_file((0, 0, 0), (31, 32))})
    with pytest.raises(DataError, match=r"'train/dog/c.png' is 31x32; 32x32 is needed"):
        read_image_tree(source, EXACT)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_part_is_named(pack: Pack, files: dict[str, bytes], part: str) -> None:
    kept = {name: data for name, data in files.items() if not name.startswith(f"{part}/")}
    with pytest.raises(DataError, match="are needed under train/<class>/ and test/<class>/"):
        read_image_tree(pack(kept), EXACT)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_cut_off_anywhere_is_refused(tmp_path: Path, image_file: Png, kind: str) -> None:
    whole = image_file((9, 99, 199), (32, 32), kind)
    for cut in range(0, len(whole) - 20, 7):
        for part in ("train", "test"):
            path = tmp_path / part / "a" / "1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"'train/a/1.png' is no image that can be read"):
            read_image_tree(tmp_path, EXACT)


def test_formats_whose_readers_start_programs_are_refused(tar: Pack) -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\n"
    files = {f"{part}/a/1.png": postscript for part in ("train", "test")}
    with pytest.raises(DataError, match="is no image that can be read"):
        read_image_tree(tar(files), EXACT)


def test_nested_folders_and_linked_ones_are_read(tmp_path: Path, image_file: Png) -> None:
    write = {
        "train/ant/1.png": 1,
        "train/cow/farm/1.png": 2,
        "elsewhere/2.png": 3,
        "far/ant/1.png": 4,
        "far/cow/1.png": 5,
    }
    for name, value in write.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(image_file(value))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train").symlink_to(tmp_path / "train")
    (tmp_path / "set/test").symlink_to("../far")
    (tmp_path / "train/cow/barn").symlink_to(tmp_path / "elsewhere")
    tree = read_image_tree(tmp_path / "set", EXACT)
    assert tree.train_images[:, 0, 0, 0].tolist() == [1, 3, 2]
    assert tree.train_labels.tolist() == [0, 1, 1]
    assert tree.test_images[:, 0, 0, 0].tolist() == [4, 5]


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".ppm", ".gif", ".JPeG", ".webp", ".bmp", ".pgm"])
def test_suffixes_of_all_kinds_are_read(tar: Pack, image_file: Png, suffix: str) -> None:
    kinds = {".tif": "TIFF", ".tiff": "TIFF", ".jpeg": "JPEG", ".pgm": "PPM"}
    kind = kinds.get(suffix.lower(), suffix[1:].upper())
    files = {f"{part}/{name}/1{suffix}": image_file(200, kind=kind) for part in ("train", "test") for name in "ab"}
    tree = read_image_tree(tar(files), Decoding(size=32, channels=1, resize=False))
    assert tree.train_images.float().mean() == pytest.approx(200, abs=2)
    assert len(tree.train_images) == 2


def test_what_is_left_out_is_printed(pack: Pack, files: dict[str, bytes], image_file: Png, capsys) -> None:
    two = [Image.new("L", (32, 32), value) for value in (1, 2)]
    buffer = io.BytesIO()
    two[0].save(buffer, "TIFF", save_all=True, append_images=two[1:])
    extra = {"train/cat/x.heic": b"x", "val/cat/1.png": image_file(1), "train/cat/stack.tif": buffer.getvalue()}
    source = pack(files | extra)
    read_image_tree(source, EXACT)
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 3
    assert all(line.startswith(f"kd: {source}: ") for line in printed)
    assert "'val/cat/1.png'" in printed[0]
    assert "(1 .heic): 'train/cat/x.heic'" in printed[1]
    assert "of 1 file with several pages or frames the first is read: 'train/cat/stack.tif'" in printed[2]


def unsplit(image_file: Png, count: int) -> dict[str, bytes]:
    """Return images of two classes, three times as many of the second; each has a colour of its own."""
    cats = {f"cat/{number}.png": image_file((number, 1, 0)) for number in range(count)}
    return cats | {f"dog/{number}.png": image_file((number, 2, 0)) for number in range(3 * count)}


def test_a_share_becomes_the_test_part_where_the_folder_has_none(pack: Pack, image_file: Png) -> None:
    tree = read_image_tree(pack(unsplit(image_file, 20)), EXACT, 0.25)
    assert torch.bincount(tree.test_labels).tolist() == [5, 15]
    assert torch.bincount(tree.train_labels).tolist() == [15, 45]
    both = torch.cat([tree.train_images, tree.test_images])[:, :2, 0, 0]
    assert len(both.unique(dim=0)) == 80


def test_the_cut_follows_the_content_and_neither_names_nor_other_images(tmp_path: Path, image_file: Png) -> None:
    def tested(files: Mapping[str, bytes], name: str) -> set[int]:
        source = tmp_path / name
        for path, data in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(data)
        tree = read_image_tree(source, EXACT, 0.25)
        return set(tree.test_images[tree.test_labels == 0, 0, 0, 0].tolist())

    files = unsplit(image_file, 20)
    renamed = {name.replace("cat/", "cat/renamed-"): data for name, data in files.items()}
    assert tested(files, "one") == tested(renamed, "two")
    more = files | {f"dog/more-{number}.png": image_file((number, 3, 0)) for number in range(20)}
    assert len(tested(files, "three") ^ tested(more, "four")) <= 2


def test_one_image_under_two_names_comes_to_one_part(tar: Pack, image_file: Png) -> None:
    files = unsplit(image_file, 20)
    twice = files | {name.replace(".png", "-copy.png"): data for name, data in files.items()}
    tree = read_image_tree(tar(twice), EXACT, 0.3)
    parts = [set(map(tuple, part[:, :2, 0, 0].tolist())) for part in (tree.train_images, tree.test_images)]
    assert not parts[0] & parts[1]


def test_a_class_too_small_for_both_parts_is_named(tar: Pack, image_file: Png) -> None:
    files = unsplit(image_file, 20) | {"eel/1.png": image_file((9, 9, 9))}
    with pytest.raises(DataError, match=r"with 'test: 0.2' the test part has no image of 'eel'; give"):
        read_image_tree(tar(files), EXACT, 0.2)
