"""``python -m kd.data.prepare NAME ROOT TARGET.safetensors``: decode a data set once, for jobs that load it
often.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from kd.data.decoded import SUFFIX, write_decoded
from kd.data.load_arrays import load_arrays
from kd.errors import DataError, run_command


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, decode, write. Returns the exit code; raises DataError as the source does."""
    parser = argparse.ArgumentParser(prog="python -m kd.data.prepare", description=__doc__)
    parser.add_argument("name", help="data set, e.g. cifar10")
    parser.add_argument("root", type=Path, help="its folder or archive")
    parser.add_argument("target", type=Path, help=f"file to write, ending in {SUFFIX}")
    parser.add_argument("--arguments", type=json.loads, default={}, help='as in a job file, e.g. {"size": 64}')
    given = parser.parse_args(words)
    if given.target.suffix != SUFFIX:
        raise DataError(f"{given.target}: the name must end in {SUFFIX}")
    write_decoded(load_arrays(given.name, given.root, given.arguments), given.target)
    print(given.target)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
