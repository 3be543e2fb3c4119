"""When checkpoints are made and published, and what happens to a scratch folder."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kd.hashed_copy import copy_hashed
from kd.run import run_stage
from kd.stages.context import Interrupted, in_place
from tests.kd.conftest import damaged, result_of

SAVED, PREVIOUS = ["checkpoint/resume.pt", "metrics.csv"], "checkpoint/resume.previous.pt"


def test_work_on_scratch_is_published_and_resumes_on_an_empty_scratch(write_spec, spec, tmp_path: Path) -> None:
    folder, published = write_spec(tmp_path / "durable", spec()), []
    asked = 0

    def context(scratch: Path, stop_after: int):
        def publish(names) -> dict[str, str]:
            published.extend(names)
            return {name: copy_hashed(scratch / name, folder.path / name) for name in names}

        def stop_requested() -> bool:
            nonlocal asked
            asked += 1
            return asked == stop_after

        return replace(in_place(folder), work=scratch, publish=publish, stop_requested=stop_requested)

    first, second = tmp_path / "scratch-1", tmp_path / "scratch-2"
    with pytest.raises(Interrupted):
        run_stage(context(first, 6))
    first_save, second_save = ["checkpoint/resume.pt", "metrics.csv"], ["checkpoint/resume.previous.pt"]
    assert published == [*first_save, *second_save, *first_save]  # after epoch 1, and on the request
    shutil.rmtree(first)
    (second / "checkpoint").mkdir(parents=True)
    shutil.copy(folder.checkpoint / "resume.pt", second / "checkpoint" / "resume.pt")
    run_stage(context(second, -1))
    assert damaged(folder) == []
    assert len(folder.metrics.read_text().splitlines()) == 4
    assert not list(folder.checkpoint.glob("resume*"))


@pytest.mark.parametrize(("every", "saves"), [(1, 3), (2, 2), (10, 1)])
def test_checkpoints_are_made_every_so_many_epochs_and_at_the_end(
    write_spec, spec, tmp_path: Path, every: int, saves: int
) -> None:
    folder, published = write_spec(tmp_path, spec(checkpoint_every=every)), []
    context = in_place(folder)

    def publish(names) -> dict[str, str]:
        published.append(list(names))
        return context.publish(names)

    run_stage(replace(context, publish=publish))
    assert sum("checkpoint/resume.pt" in names for names in published) == saves


def test_a_checkpoint_is_made_within_an_epoch_that_takes_long(write_spec, spec, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("kd.stages.training.checkpoint_keeper.CHECKPOINT_SECONDS", -1.0)
    folder, published = write_spec(tmp_path, spec(epochs=1)), []
    context = in_place(folder)

    def publish(names) -> dict[str, str]:
        published.append(list(names))
        return context.publish([name for name in names if (folder.path / name).exists()])

    run_stage(replace(context, publish=publish))
    assert sum("checkpoint/resume.pt" in names for names in published) == 4 + 1  # each step, and the end


def test_a_heartbeat_that_cannot_be_written_costs_a_line_and_not_the_training(
    write_spec, spec, tmp_path: Path, monkeypatch, capsys
) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kd.rundir.progress.write_json", full)
    folder = write_spec(tmp_path, spec(epochs=1))
    run_stage(in_place(folder))
    assert result_of(folder) is not None
    assert "progress.json cannot be written (No space left on device)" in capsys.readouterr().err
