"""What only a GPU can tell, in a few minutes: one line per check, all of them in ``gpu_check.json``.

``python -m benchmarks.gpu_check --out FOLDER [--seconds 300] [--only ABC]``; exits with 1 when a check failed.
A fault ends its check and no other; what there was no time for is named. Without a GPU, ``--small`` runs the same
code on the CPU to try it out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.gpu_check.graphs import check_graphs
from benchmarks.gpu_check.machine_and_stores import check_machine, check_stores
from benchmarks.gpu_check.memory import check_memory
from benchmarks.gpu_check.rates import check_packing, check_rates
from benchmarks.gpu_check.record import Record
from benchmarks.gpu_check.resumes import check_resumed_graphs, check_resumes
from benchmarks.gpu_check.steps import check_determinism, check_losses_and_options
from kd.train.device import Precision

PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float16", "float32")


def sections(precisions: tuple[Precision, ...]) -> dict[str, Callable[[Record], None]]:
    """Return the checks by the letter of their section, in the order in which they are done."""
    return {
        "A": check_machine,
        "B": check_stores,
        "C": lambda record: check_losses_and_options(record, precisions),
        "D": check_determinism,
        "E": check_resumes,
        "e": check_resumed_graphs,
        "H": check_graphs,
        "F": check_rates,
        "P": check_packing,
        "G": check_memory,
    }


def main() -> int:
    """Do the checks that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for gpu_check.json")
    parser.add_argument("--name", default="gpu_check", help="of the JSON file, where several run side by side")
    parser.add_argument("--seconds", type=float, default=300, help="no check is begun after this time")
    parser.add_argument("--only", default="".join(sections(PRECISIONS)), help="sections by letter")
    parser.add_argument("--precision", choices=PRECISIONS, action="append", help="of section C; default: all")
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    precisions = tuple(options.precision or (PRECISIONS[:1] if options.small else PRECISIONS))
    file = options.out / f"{options.name}.json"
    record = Record(file=file, small=options.small, ends=time.monotonic() + options.seconds)
    for letter, check in sections(precisions).items():
        if letter in options.only:
            check(record)
    print(f"{len(record.rows)} checks, {len(record.failed())} failed {record.failed() or ''}")
    return 1 if record.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
