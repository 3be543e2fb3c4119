"""A further process of a stage on several GPUs: ``kd.stages.training.process_team`` starts, instructs and ends it.

It reads one line of JSON from standard input, does what the first process does, and writes no file. The end of its
standard input is the end of the first process, and its own.
"""

from __future__ import annotations

import os
import sys
import threading

import msgspec

from kd.errors import UserError
from kd.run import run_kind
from kd.rundir.stage_spec import read_spec
from kd.stages.context import Interrupted, Orders


def main() -> int:
    """Follow, until the first process lets go. Returns 1 on an error, which the first process reports."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    watch = threading.Thread(target=_end_with_the_first, daemon=True)
    watch.start()
    context = orders.context()
    try:
        run_kind(context, read_spec(context.folder))
    except Interrupted:
        pass  # the first process saved
    except UserError as error:
        print(f"kd: process {orders.member.rank + 1}: {error}", file=sys.stderr)
        return 1
    watch.join()
    return 0


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)  # whatever is under way, even inside a call into torch


if __name__ == "__main__":
    sys.exit(main())
