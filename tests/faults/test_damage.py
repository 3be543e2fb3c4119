"""Files that somebody or something damaged: a checkpoint, an archive of images, a parent's weights."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.faults.trial import DISTILLED, ONCE, TEACHER, Trial
from tests.slurm.launching import kill, wait_until

pytestmark = pytest.mark.slurm


def truncate_the_checkpoint(trial: Trial) -> Trial:
    trial = trial.paced(1.0)
    trial.submit()
    checkpoint = trial.stage(TEACHER).checkpoint
    wait_until((checkpoint / "resume.previous.pt").is_file, "two checkpoints")
    kill(trial.process())
    trial.wait_ended()
    newest = checkpoint / "resume.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    trial.submit()
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=truncate_the_checkpoint)
def test_a_truncated_checkpoint_costs_an_epoch_and_not_the_run(trial: Trial, undisturbed: dict[str, Any]) -> None:
    assert trial.outcome() == undisturbed
    assert "resume.pt is damaged and ignored" in trial.log(TEACHER)
    assert trial.starts()["teacher"] == 2


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def edit_before_the_child_starts(trial: Trial) -> Trial:
    trial = trial.paced(1.0)
    trial.submit()
    trial.wait_training()
    trial.testbed.run("scontrol", "hold", trial.job_id(DISTILLED))
    wait_until(trial.stage(TEACHER).result.is_file, "the teacher's result")
    change_a_byte(trial.stage(TEACHER).checkpoint / "best.safetensors")
    trial.testbed.run("scontrol", "release", trial.job_id(DISTILLED))
    trial.wait_ended()
    assert "changed or damaged" in trial.why(DISTILLED)
    said = trial.submit()
    assert "teacher/seed-1: checkpoint/best.safetensors changed since it finished; it is trained again" in said
    trial.wait_ended()
    return trial


@pytest.mark.fault(by=edit_before_the_child_starts)
def test_a_parent_s_weights_edited_by_hand_teach_nobody_and_are_made_again(
    trial: Trial, undisturbed: dict[str, Any]
) -> None:
    assert trial.outcome() == undisturbed
    assert trial.starts() == {"teacher": 2, "distilled": 2, "report": 2}


def archive_of_images(path: Path) -> None:
    """Write train/<class>/ and test/<class>/ of 8 x 8 images that differ by class, as one archive."""
    with tarfile.open(path, "w:gz") as archive:
        for part, count in (("train", 60), ("test", 10)):
            for label in range(4):
                for number in range(count):
                    pixels = bytes((label * 60 + number * position) % 256 for position in range(64))
                    image = io.BytesIO()
                    Image.frombytes("L", (8, 8), pixels).save(image, "PNG")
                    entry = tarfile.TarInfo(f"{part}/class{label}/{number}.png")
                    entry.size = len(image.getvalue())
                    archive.addfile(entry, io.BytesIO(image.getvalue()))


def corrupt_the_archive(trial: Trial) -> Trial:
    images = trial.folder / "images.tar.gz"
    archive_of_images(images)
    whole = images.read_bytes()
    data = f"data={{name: image_folder, root: '{images}', size: 8, grey: true, validation: 40}}"
    trial = trial.with_(options=("--set", data))
    images.write_bytes(whole[: len(whole) // 2])
    assert str(images) in trial.submit(code=2), "refused before anything is queued"
    images.write_bytes(whole)
    trial.submit()
    other = trial.with_(name=f"{trial.name}-whole", folder=trial.folder / "whole")
    other.submit()
    for one in (trial, other):
        one.wait_ended()
    assert trial.outcome() == other.outcome()
    return trial


@pytest.mark.fault(by=corrupt_the_archive)
def test_a_corrupted_archive_is_named_and_its_repair_is_enough(trial: Trial) -> None:
    assert trial.outcome()["report"]["missing"] == []
    assert trial.starts()["distilled"] == ONCE["distilled"], "the student never trained on half the images"
