"""``make bench``: every benchmark that takes minutes, one after another, with a heading each."""

from __future__ import annotations

import subprocess
import sys

QUICK = ("startup", "data_path", "train_step", "staging")


def main() -> None:
    for name in QUICK:
        print(f"\n## {name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
