"""Whether a job got the GPUs it asked for. Fewer is an error in one line, and never a CPU in its stead."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kd.errors import RunError

_LOADED_DRIVER = Path("/sys/module/nvidia/version")


def require_gpus(asked: int, environment: Mapping[str, str]) -> None:
    """Raise RunError when torch sees fewer GPUs than the job asked for, with all that tells why."""
    if not asked:
        return
    import torch

    if (seen := torch.cuda.device_count()) < asked:
        raise RunError(_complaint(asked, seen, environment, torch.__version__, torch.version.cuda))


def _complaint(asked: int, seen: int, environment: Mapping[str, str], version: str, cuda: str | None) -> str:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    facts = (
        "CUDA_VISIBLE_DEVICES is unset" if visible is None else f"CUDA_VISIBLE_DEVICES={visible}",
        f"driver {_driver() or 'not found'}",
        f"torch {version} built {'for CUDA ' + cuda if cuda else 'without CUDA'}",
    )
    asked_for = f"asked for {asked} GPU{'s' if asked > 1 else ''}"
    return (
        f"{asked_for}, sees {seen} on {socket.gethostname()} ({', '.join(facts)}): "
        "mend the node, the venv or gpu_flag, or set require_gpus: false in the cluster profile"
    )


def _driver() -> str | None:
    """Return the version of the NVIDIA driver, from the kernel or else from nvidia-smi."""
    try:
        return _LOADED_DRIVER.read_text().strip()
    except OSError:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.partition("\n")[0].strip() or None if answer.returncode == 0 else None
