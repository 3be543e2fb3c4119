"""``kd-predict MODEL IMAGE...``: the classes that a trained model sees in images, with probabilities."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from kd.errors import printable, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``kd-predict``. Returns 0, or 2 on the user's mistake."""
    parser = argparse.ArgumentParser(
        prog="kd-predict", description="Name what a trained model sees in images.", allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL", type=Path, help="a stage folder, a .safetensors or an .onnx file")
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files")
    parser.add_argument("--top", metavar="N", type=int, default=3, help="classes to print; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print all probabilities as JSON")
    parser.add_argument("--allow-code", action="store_true", help="run the own code of somebody else's run")
    return run_command(lambda: _predict(parser.parse_args(argv)))


def _predict(options: argparse.Namespace) -> int:
    from kd.trained.python import predict  # late: it loads torch, which --help need not wait for

    found = predict(options.model, options.images, allow_code=options.allow_code)
    if options.json:
        content = {str(path): asdict(prediction) for path, prediction in zip(options.images, found, strict=True)}
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return 0
    for path, prediction in zip(options.images, found, strict=True):
        ranked = sorted(prediction.probabilities.items(), key=lambda entry: -entry[1])[: max(1, options.top)]
        print(printable(f"{path}: " + ", ".join(f"{name} {probability:.1%}" for name, probability in ranked)))
    return 0
