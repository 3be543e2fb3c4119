"""Which file of a tree of class folders is an image of which class and part, told by its path alone. Torch-free.

A class is the folder right under ``train/`` or ``test/``, and all images at any depth below it are of the class, as
torchvision's ImageFolder reads them. The tree may stand in an outer folder. Without parts in the tree the classes are
its first folders, and the test part is cut when the images are there.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from kd.data.notes import counted, some
from kd.errors import DataError, printable

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".gif"),
)
TRAIN, TEST = "train", "test"
OTHER_TEST_FOLDERS = ("val", "valid", "validation")

# The test part: a folder's name, or the share of each class that is cut off.
TestPart: TypeAlias = str | float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassFolders:
    """The class of every image of each part, by path in sorted order; what stays unread, in words."""

    classes: tuple[str, ...]
    train: dict[str, str]
    test: dict[str, str]  # empty where the test part is to be cut from ``train``
    remarks: tuple[str, ...]


def is_image(path: str) -> bool:
    """Return whether a path is an image's by its suffix."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def in_a_part(path: str, test: TestPart = TEST) -> bool:
    """Return whether a path is an image's that may belong to a part: those elsewhere need not be read."""
    return is_image(path) and (not isinstance(test, str) or not {TRAIN, test}.isdisjoint(path.split("/")[:-1]))


def arrange(source: Path, files: Iterable[str], folders: Iterable[str], test: TestPart = TEST) -> ClassFolders:
    """Return which class and part the files of a tree belong to; ``folders`` show classes without an image.

    Raises DataError in one line where the tree does not hold two parts of the same classes, or cannot be cut.
    """
    paths = sorted(files)
    images = [path for path in paths if is_image(path)]
    if not images:
        raise DataError(f"{source}: holds no images ({' '.join(IMAGE_SUFFIXES)})")
    known = {*folders, *(folder for path in paths for folder in _above(path))}
    if isinstance(test, str):
        top = _top_of_parts(source, known, images, test)
        parts = {TRAIN: f"{top}{TRAIN}/", test: f"{top}{test}/"}
    else:
        if not 0 < test < 1:
            raise DataError(
                f"{source}: data.test is {test:g}; a share between 0 and 1 is needed, or the name of a folder"
            )
        parts = {TRAIN: _top_of_classes(source, known, images)}
    placed = {name: _classes_below(prefix, images) for name, prefix in parts.items()}
    _refuse_empty_classes(source, parts, known, placed, paths)
    train, tested = placed[TRAIN], placed.get(str(test), {})
    classes = tuple(sorted(set(train.values())))
    refuse_twins(source, classes)
    if isinstance(test, str):
        _refuse_strangers(source, classes, sorted(set(tested.values())), test)
    remarks = [*_left_out(parts, images, paths, placed), *_untested(classes, tested, test)]
    return ClassFolders(classes=classes, train=train, test=tested, remarks=tuple(remarks))


def _above(path: str) -> Iterable[str]:
    """Yield the folders that hold a path."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _top_of_parts(source: Path, folders: set[str], images: Sequence[str], test: str) -> str:
    """Return what precedes train/ and the test folder: nothing, or an outer folder with a slash."""

    def tops(part: str) -> set[str]:
        return {folder[: -len(part)] for folder in folders if f"/{folder}".endswith(f"/{part}")}

    def inside(top: str, others: Iterable[str]) -> bool:  # a class, or a folder in one, may be called "train" too
        return any(top.startswith((f"{other}{TRAIN}/", f"{other}{test}/")) for other in others)

    whole = tops(TRAIN) & tops(test)
    found = sorted(top for top in whole if not inside(top, whole))
    halves = (tops(TRAIN) | tops(test)) - whole
    others = [top for top in halves if not inside(top, found) and not any(inside(each, [top]) for each in found)]
    if found and len(found) + len(others) > 1:
        names = ", ".join(printable(top.rstrip("/")) or "." for top in sorted([*found, *others]))
        raise DataError(f"{source}: holds more than one data set ({names}); name one")
    if found:
        return found[0]
    raise DataError(f"{source}: {_parts_missing(folders, images, test, bool(tops(TRAIN)))}")


def _parts_missing(folders: set[str], images: Sequence[str], test: str, has_train: bool) -> str:
    """Return what is wrong with a tree that has not both parts, and what would mend it."""
    there = next((name for name in OTHER_TEST_FOLDERS if any(f"/{each}".endswith(f"/{name}") for each in folders)), "")
    needed = f"images are needed under {TRAIN}/<class>/ and {test}/<class>/"
    if has_train and there:
        return f"{needed}; 'test: {there}' takes {there}/ as the test part"
    outer = _common_folder(images)
    found = sorted({path[len(outer) :].partition("/")[0] for path in images if "/" in path[len(outer) :]})
    what = f"holds {some(found)}" if found else "has no folders of classes"
    return f"{needed}, and it {what}; 'test: 0.2' cuts a fifth of each class off as the test part"


def _common_folder(images: Sequence[str]) -> str:
    """Return the innermost folder that holds all images, with a slash; nothing where that is the tree itself."""
    first, last = min(images), max(images)  # of sorted paths these two differ first
    shared = 0
    for number, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            break
        shared = number + 1 if one == "/" else shared
    return first[:shared]


def _top_of_classes(source: Path, folders: set[str], images: Sequence[str]) -> str:
    """Return what precedes the classes where the test part is to be cut: perhaps an outer folder, perhaps train/."""
    outer = _common_folder(images)
    if TRAIN in (above := outer.split("/")):
        return "/".join(above[: above.index(TRAIN) + 1]) + "/"
    inner = {path[len(outer) :].partition("/")[0] for path in images if "/" in path[len(outer) :]}
    if TRAIN in inner and inner <= {TRAIN, TEST, *OTHER_TEST_FOLDERS}:
        trained, tested = (set(_classes_below(f"{outer}{part}/", images).values()) for part in (TRAIN, TEST))
        if trained & tested:  # without labels, as in Tiny ImageNet, a test/ is left out by name
            raise DataError(f"{source}: has a {TEST}/ folder of the same classes; leave out 'test'")
        return f"{outer}{TRAIN}/"
    if not inner:
        raise DataError(f"{source}: has no folders of classes: images are needed under <class>/")
    return outer


def _classes_below(prefix: str, images: Sequence[str]) -> dict[str, str]:
    """Return the class of every image in a class folder below ``prefix``."""
    below = (path for path in images if path.startswith(prefix))
    return {path: name for path in below if (name := _class(prefix, path))}


def _class(prefix: str, path: str) -> str:
    """Return the first folder of a path below ``prefix``; nothing where it lies in none."""
    name, slash, _ = path[len(prefix) :].partition("/")
    return name if slash else ""


def _refuse_empty_classes(
    source: Path, parts: dict[str, str], folders: set[str], placed: dict[str, dict[str, str]], paths: Sequence[str]
) -> None:
    """Raise DataError for a class folder without an image: its images were moved away or never arrived."""
    for name, prefix in parts.items():
        children = {folder for folder in folders if folder.startswith(prefix) and "/" not in folder[len(prefix) :]}
        filled = {f"{prefix}{each}" for each in placed[name].values()}
        empty = sorted(children - filled)
        # beside classes without a part a folder of other things (annotations/) is left out by name
        empty = [each for each in empty if len(parts) > 1 or not any(path.startswith(f"{each}/") for path in paths)]
        if empty:
            which = "a class folder" if len(empty) == 1 else f"{len(empty)} class folders"
            raise DataError(f"{source}: {which} without an image: {some(empty)}; fill or remove it")
        if not filled:
            raise DataError(f"{source}: no image lies in a class folder below {prefix or '.'}")


def refuse_twins(source: Path, classes: Sequence[str]) -> None:
    """Raise DataError for two classes that look the same but are written in two Unicode forms."""
    met: dict[str, str] = {}
    for name in classes:
        if (other := met.setdefault(unicodedata.normalize("NFC", name), name)) != name:
            raise DataError(f"{source}: two classes {_difference(other, name)}")


def _refuse_strangers(source: Path, classes: Sequence[str], tested: Sequence[str], test: str) -> None:
    """Raise DataError where the test part has classes that the training part has not."""
    strangers = [name for name in tested if name not in classes]
    if not strangers:
        return
    for name in strangers:
        if twin := next((each for each in classes if _folded(each) == _folded(name)), None):
            raise DataError(f"{source}: {TRAIN}/ and {test}/ name a class unlike: {_difference(twin, name)}")
    raise DataError(f"{source}: {test}/ has classes that {TRAIN}/ has not: {printable(', '.join(strangers))}")


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _difference(one: str, other: str) -> str:
    """Return in words how two names differ that look much the same."""
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return f"{one!a} and {other!a} are one name in two Unicode forms (macOS decomposes accents); rename one"
    how = "spaces" if one.casefold() != other.casefold() else "capital and small letters"
    return f"{one!r} and {other!r} differ in {how} only; rename one"


def _left_out(
    parts: dict[str, str], images: Sequence[str], paths: Sequence[str], placed: dict[str, dict[str, str]]
) -> Iterable[str]:
    """Yield what is not read: files of class folders that are no images, and images that lie in no class folder."""
    used = {path for part in placed.values() for path in part}
    loose = [path for path in images if path not in used]
    if loose:
        where = " or ".join(f"{prefix}<class>/" for prefix in parts.values())
        yield f"{counted(len(loose), 'image')} outside of {where} left out: {some(loose)}"
    strange = [
        path
        for path in paths
        if not is_image(path) and any(path.startswith(prefix) and _class(prefix, path) for prefix in parts.values())
    ]
    if strange:
        kinds = Counter(Path(path).suffix.lower() or "no suffix" for path in strange)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
        yield f"{counted(len(strange), 'file')} of kinds not read as images left out ({counts}): {some(strange)}"


def _untested(classes: Sequence[str], tested: dict[str, str], test: TestPart) -> Iterable[str]:
    if isinstance(test, str) and (missing := sorted(set(classes) - set(tested.values()))):
        yield f"{test}/ has no image of {counted(len(missing), 'class')}: {some(missing)}"
