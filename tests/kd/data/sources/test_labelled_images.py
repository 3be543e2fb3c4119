"""Images named by a CSV, with several labels or with one class: the right pixels, the right labels, one fixed cut."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from kd.data.decoded import write_decoded
from kd.data.sources.labelled_images import labelled_images
from kd.errors import DataError
from kd.jobfile.schema import Data
from kd.jobfile.shapes import Shape, image_shape

COUNT = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images whose red is their number; the labels are bits of it, the class one of three."""
    (tmp_path / "set/images").mkdir(parents=True)
    lines = ["image_path,sun,rain,kind"]
    for number in range(COUNT):
        Image.new("RGB", (8, 8), (number, number % 7 * 30, 99 + number)).save(tmp_path / f"set/images/{number}.png")
        kind = ("bee", "ant", "cow")[min(number % 4, 2)]
        lines.append(f"images/{number}.png,{number & 1},{number >> 1 & 1},{kind}")
    (tmp_path / "set/labels.csv").write_text("\n".join(lines))
    return tmp_path / "set"


def test_several_labels_per_image_stay_with_their_image(folder: Path) -> None:
    arrays = labelled_images(folder, labels=["sun", "rain"], size=8)
    assert arrays.multi_label
    assert (arrays.classes, arrays.modalities) == (("sun", "rain"), (("image", 3),))
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (32, 8)
    for images, labels in ((arrays.train_images, arrays.train_labels), (arrays.test_images, arrays.test_labels)):
        numbers = images[:, 0, 0, 0].long()
        assert torch.equal(labels.long(), torch.stack([numbers & 1, numbers >> 1 & 1], 1))
    assert arrays.test_labels.sum(0).tolist() == [4, 4]  # in the proportions of the labels


def test_a_column_of_classes_gives_one_class_per_image(folder: Path) -> None:
    arrays = labelled_images(folder, class_column="kind", size=8, grey=True, test=0.5)
    assert not arrays.multi_label
    assert (arrays.classes, arrays.channels) == (("ant", "bee", "cow"), 1)
    assert torch.bincount(arrays.test_labels).tolist() == [5, 5, 10]


def test_what_a_job_file_declares_is_what_comes(folder: Path) -> None:
    data = {"name": "labelled_images", "validation": 4, "labels": ["sun", "rain"], "size": 8, "grey": True}
    assert image_shape(Data.model_validate(data)) == Shape(classes=2, channels=1, size=8, multi_label=True)


def test_the_set_is_kept_and_a_decoded_file_takes_its_place(folder: Path, tmp_path: Path, monkeypatch) -> None:
    first = labelled_images(folder, labels=["sun", "rain"], size=8)
    monkeypatch.setattr("kd.data.table_images.decode_image", None)  # would fail
    assert torch.equal(labelled_images(folder, labels=["sun", "rain"], size=8).test_images, first.test_images)
    write_decoded(first, tmp_path / "set.safetensors")
    assert labelled_images(tmp_path / "set.safetensors", labels=["sun", "rain"], size=8).multi_label
    with pytest.raises(DataError, match="holds sun, rain at 8 pixels and 3 channels, not what was asked for"):
        labelled_images(tmp_path / "set.safetensors", labels=["sun", "snow"], size=8)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs either data.labels or data.class_column"),
        ({"labels": ["sun"], "class_column": "kind"}, "needs either data.labels or data.class_column"),
        ({"labels": ["sun", "snow"]}, "has no column snow (it has image_path, sun, rain, kind)"),
        ({"labels": ["kind"]}, "kind: expected 0 or 1, got 'bee'"),
        ({"labels": ["sun"], "test": 1.0}, "data.test is 1; a share between 0 and 1 is needed"),
        ({"labels": ["sun"], "csv": "gone.csv"}, "gone.csv: cannot be read as a table"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, arguments: dict, words: str) -> None:
    with pytest.raises(DataError) as error:
        labelled_images(folder, size=8, **arguments)
    assert words in str(error.value).splitlines()[0]


def test_a_row_without_a_class_and_a_file_that_is_no_image_are_named(folder: Path) -> None:
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("images/3.png,1,1,cow", "images/3.png,1,1,"))
    (folder / "images/5.png").write_bytes(b"no image")
    with pytest.raises(DataError) as error:
        labelled_images(folder, class_column="kind", size=8)
    lines = str(error.value).splitlines()
    assert lines[1] == f"{table}:5: kind: no class"
    table.write_text(table.read_text().replace("images/3.png,1,1,", "images/3.png,1,1,cow"))
    with pytest.raises(DataError, match="1 fault on 1 line, the first on line 7: image_path: 'images/5"):
        labelled_images(folder, class_column="kind", size=8)


def test_a_class_too_small_for_both_parts_is_named(folder: Path) -> None:
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("images/3.png,1,1,cow", "images/3.png,1,1,eel"))
    with pytest.raises(DataError, match=r"with 'test: 0.2' the test part has no image of 'eel'; give"):
        labelled_images(folder, class_column="kind", size=8)


def test_names_in_two_unicode_forms_are_told_apart_in_words(folder: Path) -> None:
    table, text = folder / "labels.csv", (folder / "labels.csv").read_text()
    table.write_text(text.replace("bee", "b\u00e9", 5).replace("bee", "be\u0301"), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"labels.csv: two classes 'be\\u0301' and 'b\\xe9' are one name in two Unicode"
    ):
        labelled_images(folder, class_column="kind", size=8)
    (folder / "images/7.png").rename(folder / "images/\u00e9.png")
    table.write_text(text.replace("images/7.png", "images/e\u0301.png"), encoding="utf-8")
    with pytest.raises(DataError, match=r"no such file in this Unicode form .*, but 'images/\\xe9.png' is there"):
        labelled_images(folder, class_column="kind", size=8)
