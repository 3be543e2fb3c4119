"""``python -m kd.data.render_frames FOLDER --images 200``: synthetic frames as PNG files and a CSV.

To try ``paired_frames`` with; the pictures are those of the data set ``synthetic_rgb_ir``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from kd.data.scenes import render_scene
from kd.errors import DataError, run_command

LABELS = ("fire", "smoke")


def write_frames(folder: Path, *, images: int, size: int, seed: int) -> Path:
    """Write rgb/, ir/ and frame_labels.csv to a folder that holds no such file yet; return the CSV's path.

    Raises DataError when there is one.
    """
    table = folder / "frame_labels.csv"
    if table.exists():
        raise DataError(f"{table}: exists already; name another folder")
    for part in ("rgb", "ir"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(images):
        picture, present = render_scene(number, size=size, seed=seed)
        row = {"image_path": f"rgb/{number:06d}.png", "ir_path": f"ir/{number:06d}.png"}
        Image.fromarray(picture[:, :, :3]).save(folder / row["image_path"])
        Image.fromarray(picture[:, :, 3]).save(folder / row["ir_path"])
        rows.append({**row, **{label: present[label] for label in LABELS}})
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["image_path", "ir_path", *LABELS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments and write. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kd.data.render_frames", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--images", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--size", type=int, default=64, help="pixels a side; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    given = parser.parse_args(words)
    print(write_frames(given.folder, images=given.images, size=given.size, seed=given.seed))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
