"""Where and how a process computes: device, precision, threads, memory. Decided once, at its start.

The defaults are the fast ones: channels-last memory, bfloat16 where the hardware has it, TF32 for what stays
float32. float16 is for GPUs without bfloat16.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler

Precision = Literal["auto", "float32", "bfloat16", "float16"]

# processor flags, as Linux names them, of x86 and Arm cores that multiply bfloat16 natively
_CPU_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
# the parameters of mallopt(3) that keep big blocks in the process instead of returning them to the kernel
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """Device and precision of a process.

    ``multiplication`` is what networks multiply in, under autocast; weights and losses stay float32.
    """

    device: torch.device
    multiplication: torch.dtype
    description: str

    @property
    def precision(self) -> str:
        """The precision of the multiplications, as results name it."""
        return str(self.multiplication).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context a forward pass runs in."""
        if self.multiplication is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.multiplication)

    def scaler(self) -> GradScaler | None:
        """Return what keeps small gradients alive in float16; the other precisions need nothing."""
        return GradScaler(self.device.type) if self.multiplication is torch.float16 else None

    def on_cpu(self) -> Runtime:
        """Return the same with the CPU in the place of a GPU."""
        return replace(self, device=torch.device("cpu"))

    def place(self, model: nn.Module) -> nn.Module:
        """Move a model to the device, in channels-last memory order."""
        return model.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def prepare_runtime(*, precision: Precision = "auto", deterministic: bool = False, processes: int = 1) -> Runtime:
    """Choose the device and set the process up for it; ``processes`` share the cores.

    ``deterministic`` makes a GPU give the same bits every time, at a cost in speed; a CPU does so with the
    same number of threads anyway.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; required by torch
    if deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports the compiler, for a second
        torch.use_deterministic_algorithms(deterministic)
    if torch.cuda.is_available():
        return _prepare_gpu(precision, deterministic)
    return _prepare_cpu(precision, processes)


def _prepare_gpu(precision: Precision, deterministic: bool) -> Runtime:
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return Runtime(
        device=torch.device("cuda", torch.cuda.current_device()),
        multiplication=_multiplication(precision, native),
        description=f"cuda: {torch.cuda.get_device_name()}",
    )


def _prepare_cpu(precision: Precision, processes: int) -> Runtime:
    threads = max(1, thread_count(os.environ, usable_cores()) // processes)
    torch.set_num_threads(threads)
    keep_freed_memory()
    flags, _ = _processor()
    native = bool(flags & _CPU_BFLOAT16_FLAGS)
    return Runtime(
        device=torch.device("cpu"),
        multiplication=_multiplication(precision, native),
        description=cpu_in_words(),
    )


@contextmanager
def exact_float32(runtime: Runtime) -> Iterator[Runtime]:
    """Yield the runtime with networks that multiply in float32 throughout, TensorFloat-32 off; then all is as before.

    What is measured must not depend on the precision of the training.
    """
    matmul, cudnn = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield replace(runtime, multiplication=torch.float32)
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = cudnn


def cpu_in_words() -> str:
    """Return the processor's name and the number of threads that torch uses."""
    threads = torch.get_num_threads()
    return f"cpu: {_processor()[1]}, {threads} thread{'s' if threads > 1 else ''}"


def _multiplication(precision: Precision, native_bfloat16: bool) -> torch.dtype:
    chosen = ("bfloat16" if native_bfloat16 else "float32") if precision == "auto" else precision
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[chosen]


def thread_count(environment: Mapping[str, str], cores: int) -> int:
    """Return how many threads to use: KD_THREADS, else what Slurm or OpenMP was given, at most ``cores``.

    More threads than cores halve the speed, so a process may not exceed the cores it is bound to.
    """
    for name in ("KD_THREADS", "SLURM_CPUS_PER_TASK", "OMP_NUM_THREADS"):
        value = environment.get(name, "")
        if value.isdecimal() and int(value) > 0:
            return min(int(value), cores)
    return cores


def usable_cores() -> int:
    """Return the number of cores this process is bound to, or all where the system does not report it."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Tell glibc to reuse freed blocks of any size; return whether it agreed.

    By default it gives each big tensor back to the kernel and faults it in again, page by page, at the next
    step.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))


def measured_part_fits(images_bytes: int, device: torch.device) -> bool:
    """Return whether images that are only measured, once an epoch or once, may lie on a device beside a training.

    On a GPU they may take an eighth of its memory; larger parts are sent batch by batch.
    """
    if device.type != "cuda":
        return True
    return images_bytes <= torch.cuda.get_device_properties(device).total_memory // 8


def peak_gpu_memory_mb(device: torch.device) -> float:
    """Return the highest memory that tensors took on a GPU since ``free_memory``, in MiB; 0 on a CPU."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0


def free_memory() -> None:
    """Let go of what nobody uses any more on GPUs, and begin to measure the peak anew.

    Without a GPU nothing is done: there Python's own collector does in time, and a full collection takes 0.3 s.
    """
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@lru_cache(maxsize=1)
def _processor() -> tuple[frozenset[str], str]:
    """Return the flags and the name of the processor, as far as Linux reports them."""
    facts: dict[str, str] = {}
    source = Path("/proc/cpuinfo")
    if source.is_file():
        first, _, _ = source.read_text(encoding="utf-8", errors="replace").partition("\n\n")
        for line in first.splitlines():
            key, _, value = line.partition(":")
            facts[key.strip().lower()] = value.strip()
    flags = facts.get("flags") or facts.get("features") or ""
    return frozenset(flags.split()), facts.get("model name") or platform.processor() or platform.machine()
