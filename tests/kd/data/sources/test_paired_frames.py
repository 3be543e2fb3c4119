"""Frames named by a CSV: the very frames that were written, decoded once; every faulty row is named."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kd.data import decoded_cache
from kd.data.arrays import ImageArrays
from kd.data.decoded import read_decoded, write_decoded
from kd.data.render_frames import main, write_frames
from kd.data.sources.paired_frames import paired_frames
from kd.data.sources.synthetic_rgb_ir import synthetic_rgb_ir
from kd.errors import DataError

IMAGES, SIZE = 20, 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_frames(tmp_path / "frames", images=IMAGES, size=SIZE, seed=3)
    return tmp_path / "frames"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "frame_labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rewrite(folder: Path, table: list[dict[str, str]]) -> None:
    with (folder / "frame_labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def same(one: ImageArrays, other: ImageArrays) -> bool:
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    facts = ("classes", "mean", "std", "multi_label", "modalities")
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts) and all(
        getattr(one, fact) == getattr(other, fact) for fact in facts
    )


def faults_of(folder: Path, **arguments: object) -> list[str]:
    with pytest.raises(DataError) as error:
        paired_frames(folder, size=SIZE, **arguments)
    return str(error.value).splitlines()


def test_written_frames_come_back_as_they_were_rendered(folder: Path) -> None:
    rendered = synthetic_rgb_ir(None, images=IMAGES, size=SIZE, seed=3)
    assert same(paired_frames(folder, size=SIZE), rendered)
    assert rendered.modalities == (("rgb", 3), ("ir", 1))
    assert (len(rendered.train_labels), len(rendered.test_labels)) == (14, 6)


def test_pixels_run_from_0_to_1_over_the_training_part(folder: Path) -> None:
    frames = paired_frames(folder, size=SIZE)
    mean, std = (torch.tensor(values)[:, None, None] for values in (frames.mean, frames.std))
    normalised = (frames.train_images / 255 - mean) / std
    torch.testing.assert_close(normalised.amin(dim=(0, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalised.amax(dim=(0, 2, 3)), torch.ones(4))


def test_frames_are_decoded_once_and_again_when_a_file_or_the_store_changed(folder: Path, monkeypatch) -> None:
    first = paired_frames(folder, size=SIZE)
    (store,) = (folder / ".kd").glob("*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("kd.data.table_images.decode_image", None)  # would fail
        assert same(paired_frames(folder, size=SIZE), first)
    store.write_bytes(store.read_bytes()[:-1] + b"\x01")
    assert same(paired_frames(folder, size=SIZE), first)
    Image.new("L", (SIZE, SIZE), 99).save(folder / "ir/000000.png")
    changed = paired_frames(folder, size=SIZE)
    assert not same(changed, first)
    assert len(list((folder / ".kd").glob("*.safetensors"))) == 2


def test_where_nothing_may_be_written_frames_are_decoded_each_time(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("KD_CACHE", str(folder / "frame_labels.csv/no_folder"))
    assert paired_frames(folder, size=SIZE).image_size == SIZE
    assert "are not kept" in capsys.readouterr().err
    monkeypatch.setenv("KD_CACHE", str(folder.parent / "cache"))
    paired_frames(folder, size=SIZE)
    assert list((folder.parent / "cache").glob("*.safetensors"))
    assert not (folder / decoded_cache.FOLDER).exists()


def test_a_decoded_file_takes_the_place_of_the_folder(folder: Path, tmp_path: Path) -> None:
    write_decoded(paired_frames(folder, size=SIZE), tmp_path / "frames.safetensors")
    assert same(
        paired_frames(tmp_path / "frames.safetensors", size=SIZE), read_decoded(tmp_path / "frames.safetensors")
    )
    with pytest.raises(DataError, match="holds fire, smoke at 16 pixels, not the labels fire, smoke at 224"):
        paired_frames(tmp_path / "frames.safetensors")


def test_every_faulty_row_is_named_in_one_go(folder: Path) -> None:
    table = rows(folder)
    table[0]["image_path"] = "rgb/none.png"
    table[1]["ir_path"] = "../secret.png"
    table[2]["image_path"] = "/etc/passwd"
    table[3]["fire"] = ""
    table[4]["smoke"] = "2"
    table[5]["fire"] = "nan"
    table[6]["ir_path"] = ""
    table[8]["image_path"] = table[7]["image_path"]
    table[9]["fire"] = "1.0"  # as a table program writes it: no fault
    rewrite(folder, table)
    (folder / "ir/000010.png").write_bytes(b"no image")
    lines = faults_of(folder)
    csv_file = folder / "frame_labels.csv"
    assert lines == [
        f"{csv_file}: 9 faults on 9 lines, the first on line 2: image_path: 'rgb/none.png': no such file",
        f"{csv_file}:2: image_path: 'rgb/none.png': no such file",
        f"{csv_file}:3: ir_path: '../secret.png' points out of the data folder; refused",
        f"{csv_file}:4: image_path: '/etc/passwd' lies outside of {folder}",
        f"{csv_file}:5: fire: expected 0 or 1, got ''",
        f"{csv_file}:6: smoke: expected 0 or 1, got '2'",
        f"{csv_file}:7: fire: expected 0 or 1, got 'nan'",
        f"{csv_file}:8: ir_path: no path",
        f"{csv_file}:10: image_path: 'rgb/000007.png' stands on line 9 already",
        lines[-1],
    ]
    assert lines[-1].startswith(f"{csv_file}:12: ir_path: 'ir/000010.png' is no image that can be read")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"labels": ["fire", "steam"]}, "has no column steam (it has image_path, ir_path, fire, smoke)"),
        ({"ir_column": "thermal"}, "has no column thermal"),
        ({"csv": "prototype.csv"}, "prototype.csv: cannot be read as a table"),
        ({"csv": "../frame_labels.csv"}, "points out of the data folder; refused"),
    ],
)
def test_a_table_of_other_columns_is_refused_in_one_line(folder: Path, arguments: dict, words: str) -> None:
    (line,) = faults_of(folder, **arguments)
    assert words in line


def test_a_label_that_never_changes_is_refused_in_one_line(folder: Path) -> None:
    rewrite(folder, [{**row, "smoke": "1"} for row in rows(folder)])
    (line,) = faults_of(folder)
    assert line.endswith("frame_labels.csv: label 'smoke' is 1 in every row; remove it from data.labels")


def test_one_unreadable_image_is_one_line(folder: Path) -> None:
    (folder / "rgb/000004.png").write_bytes(b"")
    (line,) = faults_of(folder)
    assert "1 fault on 1 line, the first on line 6: image_path: 'rgb/000004.png' is no image" in line


def test_no_root_an_empty_table_and_an_absent_folder_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"needs data\.root"):
        paired_frames(None)
    with pytest.raises(DataError, match="no such folder"):
        paired_frames(folder / "rgb/000000.png")
    (folder / "frame_labels.csv").write_text("image_path,ir_path,fire,smoke\n")
    assert faults_of(folder)[0].endswith("holds no frame")


def test_the_command_writes_frames_but_not_over_others(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path), "--images", "3", "--size", "8"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "frame_labels.csv")
    assert len(rows(tmp_path)) == 3
    with pytest.raises(DataError, match="exists already"):
        main([str(tmp_path)])


def in_other_words(folder: Path, change) -> list[dict[str, str]]:
    table = rows(folder)
    return [{**row, "image_path": change(row["image_path"]), "ir_path": change(row["ir_path"])} for row in table]


@pytest.mark.parametrize(
    "spelled",
    [
        lambda folder, path: f"./{path}",
        lambda folder, path: f"rgb/../{path}",
        lambda folder, path: f"{folder}/{path}",
        lambda folder, path: f"/home/ana/frames/{path}",  # written on another machine
        lambda folder, path: path.replace("/", "\\"),
        lambda folder, path: "C:\\data\\" + path.replace("/", "\\"),
        lambda folder, path: f" {path} ",
    ],
    ids=["dot", "dots", "absolute", "elsewhere", "backslash", "drive", "spaces"],
)
def test_paths_of_every_spelling_lead_to_the_same_frames(folder: Path, spelled) -> None:
    plain = paired_frames(folder, size=SIZE)
    rewrite(folder, in_other_words(folder, lambda path: spelled(folder, path)))
    assert same(paired_frames(folder, size=SIZE), plain)


@pytest.mark.parametrize("other", ["./rgb/000003.png", "rgb/./000003.png", "rgb\\000003.png", "link.png"])
def test_one_frame_under_two_spellings_is_refused(folder: Path, other: str) -> None:
    (folder / "link.png").symlink_to("rgb/000003.png")
    table = rows(folder)
    rewrite(folder, [*table, {**table[3], "image_path": other}])
    (line,) = faults_of(folder)
    assert line.endswith(f"image_path: {other!r} is the file 'rgb/000003.png', which stands on line 5 already")


def test_an_absolute_path_outside_of_the_others_folder_is_named_as_such(folder: Path) -> None:
    table = in_other_words(folder, lambda path: f"/data/frames/{path}")
    table[4]["image_path"] = "/data/more/rgb/000004.png"
    rewrite(folder, table)
    (line,) = faults_of(folder)
    assert "'/data/more/rgb/000004.png' lies outside of /data/frames/, which is the data folder in other rows" in line


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_columns_separated_otherwise_are_read_and_it_is_said(folder: Path, separator: str, capsys) -> None:
    plain = paired_frames(folder, size=SIZE)
    table = folder / "frame_labels.csv"
    table.write_text(table.read_text().replace(",", separator), encoding="utf-8-sig")
    assert same(paired_frames(folder, size=SIZE), plain)
    assert f"its columns are separated by {separator!r}" in capsys.readouterr().err


def test_a_missing_column_is_named_with_the_separator(folder: Path) -> None:
    table = folder / "frame_labels.csv"
    table.write_text(table.read_text().replace(",", ";"))
    (line,) = faults_of(folder, labels=["fire", "steam"])
    assert "has no column steam (it has image_path, ir_path, fire, smoke, separated by ';')" in line


def test_a_comma_in_a_path_a_column_given_twice_and_another_encoding_are_named(folder: Path) -> None:
    table, text = folder / "frame_labels.csv", (folder / "frame_labels.csv").read_text()
    table.write_text(text.replace("rgb/000002.png", "rgb/00,0002.png"))
    assert any("1 more cells than columns" in line for line in faults_of(folder))
    table.write_text(text.replace("smoke", "fire", 1))
    assert "has two columns 'fire'" in faults_of(folder, labels=["fire"])[0]
    table.write_text(text, encoding="utf-16")
    assert "save it as UTF-8" in faults_of(folder)[0]


def test_a_fault_of_every_row_is_told_twenty_times(folder: Path) -> None:
    table = [{**row, "image_path": f"gone/{number}.png", "ir_path": "x"} for number, row in enumerate(rows(folder))]
    rewrite(folder, table)
    lines = faults_of(folder)
    assert len(lines) == 22
    assert "40 faults on 20 lines" in lines[0]
    assert lines[-1].endswith("and 20 more")


def test_infrared_of_sixteen_bits_is_scaled(folder: Path) -> None:
    plain = paired_frames(folder, size=SIZE)
    for path in (folder / "ir").iterdir():
        with Image.open(path) as image:
            wide = np.asarray(image).astype(np.uint16)
        Image.fromarray(wide * 257).save(path)
    assert same(paired_frames(folder, size=SIZE), plain)
    for path in (folder / "ir").iterdir():
        with Image.open(path) as image:
            narrow = np.asarray(image).astype(np.float64) / 257 * 16383 / 255
        Image.fromarray(narrow.round().astype(np.uint16)).save(path)
    assert same(paired_frames(folder, size=SIZE, bits=14), plain)
