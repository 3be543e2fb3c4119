"""The old name of ``python -m kd.drawing.feature_maps``, kept for one release."""

from __future__ import annotations

import sys

from kd.drawing.feature_maps import main
from kd.errors import run_command

if __name__ == "__main__":
    print("kd.stages.feature_maps is now kd.drawing.feature_maps; this name goes next release", file=sys.stderr)
    sys.exit(run_command(main))
