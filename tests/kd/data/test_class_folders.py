"""Which file is an image of which class and part, by paths alone; what cannot work is refused with its remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kd.data.class_folders import ClassFolders, TestPart, arrange
from kd.errors import DataError

SET = Path("set")
PLAIN = ["train/ant/1.png", "train/cow/1.png", "test/ant/1.png", "test/cow/1.png"]


def arranged(*files: str, folders: tuple[str, ...] = (), test: TestPart = "test") -> ClassFolders:
    return arrange(SET, files, folders, test)


def refused(*files: str, folders: tuple[str, ...] = (), test: TestPart = "test") -> str:
    with pytest.raises(DataError) as error:
        arranged(*files, folders=folders, test=test)
    assert str(error.value).startswith("set: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_images_at_any_depth_are_of_the_class_right_under_their_part() -> None:
    tree = arranged(*PLAIN, "train/cow/farm/summer/2.jpg", "test/cow/train/ant/2.TIF")
    assert tree.train["train/cow/farm/summer/2.jpg"] == "cow"
    assert tree.test["test/cow/train/ant/2.TIF"] == "cow"
    assert (tree.classes, tree.remarks) == (("ant", "cow"), ())


@pytest.mark.parametrize("outer", ["", "my data/", "a/b/", "test/", "train/"])
def test_the_tree_may_stand_in_outer_folders_of_any_name(outer: str) -> None:
    tree = arranged(*(f"{outer}{path}" for path in PLAIN))
    assert list(tree.train) == [f"{outer}train/ant/1.png", f"{outer}train/cow/1.png"]
    assert tree.classes == ("ant", "cow")


def test_classes_may_be_called_train_and_test() -> None:
    tree = arranged("train/train/1.png", "train/test/1.png", "test/train/1.png", "test/test/1.png")
    assert tree.classes == ("test", "train")
    assert tree.train == {"train/train/1.png": "train", "train/test/1.png": "test"}


def test_another_folder_may_be_the_test_part() -> None:
    tree = arranged("train/ant/1.png", "train/cow/1.png", "val/ant/1.png", "val/cow/1.png", test="val")
    assert list(tree.test) == ["val/ant/1.png", "val/cow/1.png"]


@pytest.mark.parametrize("outer", ["", "animals/", "train/", "animals/train/"])
def test_without_parts_the_first_folders_are_the_classes(outer: str) -> None:
    tree = arranged(f"{outer}ant/1.png", f"{outer}cow/farm/2.png", f"{outer}cow/3.png", test=0.2)
    assert tree.classes == ("ant", "cow")
    assert (len(tree.train), tree.test) == (3, {})


def test_without_a_test_part_the_validation_folder_beside_train_stays_out_by_name() -> None:
    tree = arranged("train/ant/1.png", "train/cow/2.png", "val/ant/3.png", test=0.2)
    assert tree.classes == ("ant", "cow")
    assert tree.remarks == ("1 image outside of train/<class>/ left out: 'val/ant/3.png'",)


def test_a_test_folder_without_classes_is_left_out_by_name() -> None:
    """Tiny ImageNet has train/<class>/images/, and test/images/ whose classes nobody knows."""
    files = [f"tiny/train/{name}/images/{name}_0.JPEG" for name in ("n01", "n02")]
    tree = arranged(*files, "tiny/test/images/test_0.JPEG", "tiny/train/n01/n01_boxes.txt", test=0.1)
    assert tree.classes == ("n01", "n02")
    assert "'tiny/test/images/test_0.JPEG'" in tree.remarks[0]


def test_what_is_left_out_is_counted_and_named() -> None:
    tree = arranged(*PLAIN, "train/ant/2.heic", "train/ant/3.heic", "train/cow/notes.txt", "val/ant/1.png", "x.png")
    images, files = tree.remarks
    assert images == "2 images outside of train/<class>/ or test/<class>/ left out: 'val/ant/1.png', 'x.png'"
    assert files.startswith("3 files of kinds not read as images left out (2 .heic, 1 .txt): 'train/ant/2.heic'")
    assert arranged(*PLAIN, "readme.txt", "labels/all.csv").remarks == ()


def test_a_class_without_a_test_image_is_named() -> None:
    (remark,) = arranged(*PLAIN, "train/bee/1.png").remarks
    assert remark == "test/ has no image of 1 class: 'bee'"


@pytest.mark.parametrize("empty", ["train/bee", "test/cow", "train/bee/farm"])
def test_a_class_folder_without_an_image_is_refused(empty: str) -> None:
    files = [path for path in PLAIN if not path.startswith(f"{empty}/")]
    folders = ("train", "test", "train/bee", empty) if "bee" in empty else ("train", "test", empty)
    name = "'train/bee'" if "bee" in empty else f"'{empty}'"
    assert f"a class folder without an image: {name}; fill or remove it" in refused(*files, folders=folders)


def test_a_class_folder_of_unknown_files_is_refused() -> None:
    assert "a class folder without an image: 'train/bee'" in refused(*PLAIN, "train/bee/1.heic")


def test_an_empty_folder_among_classes_without_parts_is_refused_and_one_of_tables_is_named() -> None:
    files = ("ant/1.png", "cow/1.png", "labels/all.csv")
    assert "'bee'" in refused(*files, folders=("ant", "bee", "cow", "labels"), test=0.5)
    (remark,) = arranged(*files, test=0.5).remarks
    assert "'labels/all.csv'" in remark


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("Cow", "cow", "'Cow' and 'cow' differ in capital and small letters only; rename one"),
        ("red fox", "red  fox ", "'red fox' and 'red  fox ' differ in spaces only; rename one"),
        ("caf\xe9", "cafe\u0301", r"'caf\xe9' and 'cafe\u0301' are one name in two Unicode forms"),
    ],
)
def test_classes_that_look_alike_are_told_apart_in_words(train: str, test: str, words: str) -> None:
    assert words in refused("train/ant/1.png", f"train/{train}/1.png", "test/ant/1.png", f"test/{test}/1.png")


def test_two_unicode_forms_of_one_class_in_one_part_are_refused() -> None:
    assert "in two Unicode forms" in refused(*PLAIN, "train/caf\xe9/1.png", "train/cafe\u0301/2.png")


@pytest.mark.parametrize(
    ("files", "test", "words"),
    [
        (["notes.txt"], "test", "holds no images (.jpg"),
        (["train/a/1.png", "train/b/1.png"], "test", "and it holds 'a', 'b'; 'test: 0.2' cuts a fifth"),
        (["train/a/1.png", "val/a/1.png"], "test", "'test: val' takes val/ as the test part"),
        (["a/1.png", "b/1.png"], "test", "'test: 0.2' cuts a fifth of each class off"),
        (["1.png", "2.png"], "test", "it has no folders of classes"),
        (["1.png", "2.png"], 0.2, "has no folders of classes: images are needed under <class>/"),
        (PLAIN, 0.2, "has a test/ folder of the same classes; leave out 'test'"),
        (PLAIN, 1.0, "data.test is 1; a share between 0 and 1 is needed"),
        ([*PLAIN, "test/eel/1.png"], "test", "test/ has classes that train/ has not: eel"),
        (["train/1.png", "test/a/1.png"], "test", "no image lies in a class folder below train/"),
        ([f"{top}/{path}" for top in "ab" for path in PLAIN], "test", "more than one data set (a, b); name one"),
        ([*PLAIN, "old/train/ant/9.png"], "test", "more than one data set (., old); name one"),
    ],
)
def test_a_layout_that_cannot_work_is_refused_with_its_remedy(files: list[str], test: TestPart, words: str) -> None:
    assert words in refused(*files, test=test)


def test_reading_names_loads_no_torch_and_no_image_library() -> None:
    code = "import kd.data.class_folders, kd.data.archive, kd.data.frame_table, sys; " \
        "print([name for name in ('torch', 'numpy', 'PIL') if name in sys.modules])"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
