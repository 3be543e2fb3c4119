"""The line that every epoch leaves in a log."""

from __future__ import annotations

import csv
from pathlib import Path

from kd.rundir.folders import METRICS


def test_every_epoch_is_a_line_of_the_log_with_the_numbers_of_its_row(run, spec, tmp_path: Path, capsys) -> None:
    folder = run(tmp_path / "run", spec(epochs=3))
    lines = [line for line in capsys.readouterr().out.splitlines() if ": epoch " in line]
    with (folder.path / METRICS).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(lines) == len(rows) == 3
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), start=1):
        job, facts = line.split(": ", maxsplit=1)
        found = facts.split(", ")
        assert "/seed-" in job
        assert found[0] == f"epoch {number}/3"
        assert f"loss {float(row['train_loss']):.4f}" in found
        assert f"val_accuracy {100 * float(row['val_accuracy']):.2f} %" in found
        assert (found[-1].endswith(" left")) == (number < 3)
