"""Points at which a test ends this process as a power cut would: nothing is flushed, no handler runs.

Only the environment variable KD_FAULT_POINT arms one; otherwise a call does nothing. tests/faults finds the points in
the sources and sweeps over all of them.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "KD_FAULT_POINT"


def fault_point(name: str, of: str = "") -> None:
    """Kill this process (SIGKILL) when ``KD_FAULT_POINT`` is this point's name, or its name and ``of``."""
    if os.environ.get(VARIABLE) in (name, f"{name} {of}"):
        os.kill(os.getpid(), signal.SIGKILL)
