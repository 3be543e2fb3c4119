"""Class-folder data sets, ``train/<class>/…`` and ``test/<class>/…``, in a folder or an archive.

Images are decoded from memory into one array of bytes on a few threads. Classes and images are in sorted
order of their names, so the same tree gives the same arrays, packed in whatever order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kd.data.archive import Contents, read_contents
from kd.data.class_folders import TEST, ClassFolders, TestPart, arrange, in_a_part
from kd.data.decode import Decoding, decode_image, in_threads
from kd.data.notes import note, note_more_frames
from kd.data.split import pick_by_content, require_every_class
from kd.errors import printable


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageTree:
    """What a class-folder tree holds: uint8 [N, C, H, W] in channels-last memory, int64 [N], class names."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]


def read_image_tree(source: Path, decoding: Decoding, test: TestPart = TEST) -> ImageTree:
    """Read a folder or archive of class folders, perhaps inside one outer folder.

    ``test`` is the name of the test part's folder, or the share of each class that becomes it. What is left out is
    printed. Raises DataError naming the file at fault.
    """
    contents = read_contents(source, lambda path: in_a_part(path, test))
    return image_tree(source, contents, decoding, test)


def image_tree(source: Path, contents: Contents, decoding: Decoding, test: TestPart = TEST) -> ImageTree:
    """Decode the files of a tree, already read; ``source`` is for error lines. Raises DataError as above."""
    tree = arrange(source, [*contents.files, *contents.others], contents.folders, test)
    for remark in tree.remarks:
        note(source, remark)
    if not isinstance(test, str):
        tree = _with_test_part(source, tree, contents.files, test)
    label_of = {name: label for label, name in enumerate(tree.classes)}

    def part(chosen: Mapping[str, str]) -> tuple[Tensor, Tensor]:
        labels = torch.tensor([label_of[name] for name in chosen.values()])
        return _decode_all(source, {path: contents.files[path] for path in chosen}, decoding), labels

    train_images, train_labels = part(tree.train)
    test_images, test_labels = part(tree.test)
    return ImageTree(
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=tree.classes,
    )


def _with_test_part(source: Path, tree: ClassFolders, files: Mapping[str, bytes], share: float) -> ClassFolders:
    """Return the tree with a part of its images cut off, by a hash of their content.

    The same file under two names thus comes to the same part, and images added later move few others.
    """
    paths = list(tree.train)
    hashes = np.array(
        [int.from_bytes(blake2b(files[path], digest_size=8).digest(), "little") for path in paths], dtype=np.uint64
    )
    chosen = pick_by_content([tree.train[path] for path in paths], hashes, share)
    cut = {path: tree.train[path] for path, taken in zip(paths, chosen, strict=True) if taken}
    kept = {path: name for path, name in tree.train.items() if path not in cut}
    require_every_class(source, tree.classes, cut.values(), kept.values(), share)
    note(source, f"no split in the folder: {len(cut):,} of {len(paths):,} images are the test part")
    return ClassFolders(classes=tree.classes, train=kept, test=cut, remarks=tree.remarks)


def _decode_all(source: Path, files: Mapping[str, bytes], decoding: Decoding) -> Tensor:
    """Decode image files into uint8 [N, C, H, W]."""
    names = list(files)
    images = np.empty((len(names), decoding.size, decoding.size, decoding.channels), dtype=np.uint8)
    more: list[str] = []

    def decode(number: int) -> None:
        name = names[number]
        decoded = decode_image(f"{source}: '{printable(name)}'", files[name], decoding)
        images[number] = decoded.pixels
        if decoded.has_more:
            more.append(name)

    in_threads(decode, len(names))
    note_more_frames(source, more)
    return torch.from_numpy(images).permute(0, 3, 1, 2)
