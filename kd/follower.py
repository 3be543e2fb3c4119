"""A further process of a stage that several GPUs train: started, told what to do and ended by ``kd.stages.team``.

It reads one line of JSON from standard input, does what the first process does, and writes no file. The end of its
standard input is the end of the first process, and its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from kd.errors import UserError
from kd.run import stage_module
from kd.rundir.folders import StageFolder, read_object
from kd.stages.context import Interrupted, Member, StageContext


def main() -> int:
    """Follow, until the first process lets go. Returns 1 on an error, which the first process reports."""
    orders = json.loads(sys.stdin.readline())
    watch = threading.Thread(target=_end_with_the_first, daemon=True)
    watch.start()
    folder = StageFolder(Path(orders["folder"]))
    spec = read_object(folder.spec)
    assert spec is not None, f"{folder.spec}: gone"
    context = StageContext(
        folder=folder,
        work=Path(orders["work"]),
        parents={name: Path(path) for name, path in orders["parents"].items()},
        data_root=Path(orders["data_root"]) if orders["data_root"] else None,
        stop_requested=lambda: False,
        publish=lambda names: {},
        member=Member(**orders["member"]),
    )
    try:
        stage_module(spec["kind"]).run(context, spec)
    except Interrupted:
        pass  # the first process saved
    except UserError as error:
        print(f"kd: process {context.member.rank + 1}: {error}" if context.member else error, file=sys.stderr)
        return 1
    watch.join()
    return 0


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)  # whatever is under way, even inside a call into torch


if __name__ == "__main__":
    sys.exit(main())
