"""The old name of ``python -m kd.drawing.embeddings``, kept for one release."""

from __future__ import annotations

import sys

from kd.drawing.embeddings import main
from kd.errors import run_command

if __name__ == "__main__":
    print("kd.stages.embeddings is now kd.drawing.embeddings; this name goes next release", file=sys.stderr)
    sys.exit(run_command(main))
