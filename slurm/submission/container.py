"""Jobs inside a container: Apptainer, or Singularity as it was called before (https://apptainer.org/docs/user/latest).

The image brings Python and torch; kd itself comes from the run's frozen code, over PYTHONPATH.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from slurm.cluster.profile import Container

_ENGINES = ("apptainer", "singularity")


def container_lines(container: Container, results: Path, roots: Iterable[str], scratch: Sequence[str]) -> list[str]:
    """Return the shell lines that find the engine, and what the container must see of the node.

    That is the results folder (runs take jobs over from each other), the data, the profile's own binds and whatever of
    the scratch folders is there.
    """
    seen = list(dict.fromkeys([str(results), *roots, *container.binds]))
    engines = " || ".join(f"command -v {name}" for name in _ENGINES)
    folders = " ".join(f'"{folder}"' for folder in scratch)
    return [
        f"kd_engine=$({engines}) || {{ echo 'kd: this node has neither {' nor '.join(_ENGINES)}' >&2; exit 127; }}",
        f"kd_binds={shlex.quote(','.join(seen))}",
        f'for folder in {folders}; do if [ -d "$folder" ]; then kd_binds="$kd_binds,$folder"; fi; done',
    ]


def python_inside(container: Container, *, with_gpu: bool) -> str:
    """Return the shell text that starts Python in the container; ``--nv`` brings in the node's NVIDIA driver."""
    nvidia = " --nv" if with_gpu else ""
    return f'"$kd_engine" exec{nvidia} --bind "$kd_binds" {shlex.quote(container.image)} python'
