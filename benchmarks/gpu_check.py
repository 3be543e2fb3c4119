"""What only a GPU can tell, in a few minutes: one line per check, all of them in ``gpu_check.json``.

``python -m benchmarks.gpu_check --out FOLDER [--seconds 300] [--only ABC]``; exits with 1 when a check failed.
A fault ends its check and no other; what there was no time for is named. Without a GPU, ``--small`` runs the same
code on the CPU to try it out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import machine
from benchmarks.whole_step import WholeStep
from kd.catalog import entries
from kd.data.mixing import Mixing
from kd.data.store import DeviceStore
from kd.errors import MemoryFull
from kd.run import run_stage
from kd.rundir.bounded_json import read_object
from kd.rundir.folders import StageFolder
from kd.stages.context import Interrupted, in_place
from kd.train.device import Precision, Runtime, prepare_runtime
from kd.train.memory import memory_for
from kd.train.weights import load_weights

Found = dict[str, Any]
Check = Callable[[], Found | None]
GPU = torch.cuda.is_available()
OF_LABELS = ("balanced_bce", "bce", "binary_kd")
KD = {"ce": 0.5, "kd": 0.5}
LEAST_SECONDS, COMPILING_SECONDS = 5.0, 60.0
SMALL = {"batch": 16, "count": 64}


@dataclass
class Record:
    """The checks of one call, until its time is over."""

    folder: Path
    small: bool
    ends: float
    rows: list[Found] = field(default_factory=list)

    def check(self, name: str, work: Check, *, least: float = LEAST_SECONDS) -> None:
        """Do a check and write down what came of it, unless fewer than ``least`` seconds are left."""
        if self.ends - time.monotonic() < least:
            self._write({"check": name, "state": "no time"})
            return
        started = time.monotonic()
        try:
            found, state = work() or {}, "ok"
        except Exception as error:  # a check that fails says so; the others go on
            found, state = {"error": f"{type(error).__name__}: {str(error)[:300]}", "at": _where(error)}, "FAIL"
        self._write({"check": name, "state": state, "seconds": round(time.monotonic() - started, 2), **found})

    def failed(self) -> list[str]:
        """Return the names of the checks that failed."""
        return [row["check"] for row in self.rows if row["state"] == "FAIL"]

    def _write(self, row: Found) -> None:
        self.rows.append(row)
        more = {name: value for name, value in row.items() if name not in ("check", "state")}
        print(f"{row['check']:58s} {row['state']} {json.dumps(more)[:400]}", flush=True)
        (self.folder / "gpu_check.json").write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def _where(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/kd/" in frame.filename]
    return f"{frames[-1].filename.rpartition('/kd/')[-1]}:{frames[-1].lineno}" if frames else "?"


def wait() -> None:
    """Wait for all that the GPU has been given to do."""
    if GPU:
        torch.cuda.synchronize()


@contextmanager
def no_waits() -> Iterator[None]:
    """Make whatever waits for the GPU inside the block an error with a stack."""
    if not GPU:
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


# --- A. the machine ---------------------------------------------------------------------------------------------------
def the_machine() -> Found:
    runtime = prepare_runtime()
    found = {"torch": torch.__version__, "machine": machine(), "runtime": runtime.description}
    if GPU:
        facts = torch.cuda.get_device_properties(0)
        found |= {"gpus": torch.cuda.device_count(), "memory_gib": round(facts.total_memory / 2**30, 1)}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found | {"precision": runtime.precision}


# --- B. a store gives the CPU's bits ----------------------------------------------------------------------------------
STORES: dict[str, tuple[int, dict[str, Any]]] = {
    "padded": (32, {}),
    "cutout": (32, {"cutout": 16}),
    "batch by batch": (32, {"prepared_bytes": 0}),
    "on the host": (32, {"resident": False}),
    "224 pixels": (224, {"prepared_bytes": 0}),
}


def stores() -> None:
    device = torch.device("cuda" if GPU else "cpu")
    differ = [name for name, (size, options) in STORES.items() if not _same_batches(size, device, **options)]
    assert not differ, f"these differ from the CPU's: {differ}"


def _same_batches(size: int, device: torch.device, **options: Any) -> bool:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, size, size), dtype=torch.uint8, generator=draw)
    order = torch.randperm(64, generator=draw)
    made = []
    for home in (torch.device("cpu"), device):
        store = DeviceStore(
            images,
            torch.zeros(64, dtype=torch.int64),
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            device=home,
            padding=4,
            flip=True,
            **options,
        )
        made.append(store.batch(order, store.views(seed=1, view=2)).cpu())
    return torch.equal(*made)


# --- C. every loss and option takes a step, in every precision, and no step waits for the GPU -------------------------
def takes_steps(terms: dict[str, float], precision: Precision = "bfloat16", **options: Any) -> Check:
    def work() -> Found:
        steps = WholeStep(terms, prepare_runtime(precision=precision), **options)
        for _ in range(3):
            steps.step()
        wait()
        with no_waits():
            steps.step()
            steps.step()
        steps.meter.check_finite(0)
        return {"loss": round(float(steps.meter.losses[4 % steps.batches.steps, 0]), 4)}

    return work


OPTIONS: dict[str, dict[str, Any]] = {
    "mixup": {"mixing": Mixing(mixup=0.2)},
    "cutmix": {"mixing": Mixing(cutmix=1.0)},
    "ema": {"ema": True},
    "clip": {"clip": 1.0},
    "clip, float16": {"clip": 1.0, "precision": "float16"},
    "cached": {"cached": True},
    "two teachers, uniform": {"teachers": 2},
    "two teachers, entropy": {"teachers": 2, "weighting": "entropy"},
    "two teachers, label": {"teachers": 2, "weighting": "label"},
    "adamw": {"optimizer": "adamw"},
    "teacher of all modalities": {"privileged": True},
    "teacher of infrared": {"privileged": True, "teacher_sees": ("ir",)},
    "vit6": {"student": "vit6", "teacher": "vit6"},
}


def losses_and_options(record: Record, small: dict[str, Any]) -> None:
    precisions: tuple[Precision, ...] = ("bfloat16",) if record.small else ("bfloat16", "float16", "float32")
    for precision in precisions:
        record.check(f"C bce, binary_kd {precision}", takes_steps(dict.fromkeys(OF_LABELS, 0.5), precision, **small))
        for name in sorted(set(entries("loss")) - set(OF_LABELS)):
            terms = {"ce": 1.0} | ({} if name == "ce" else {name: 0.1})
            record.check(f"C {' + '.join(terms)} {precision}", takes_steps(terms, precision, **small))
    for name, options in OPTIONS.items():
        record.check(f"C {name}", takes_steps(KD, **options, **small))


# --- D. deterministic means the same bits -----------------------------------------------------------------------------
def same_twice(terms: dict[str, float], **options: Any) -> Check:
    def work() -> None:
        runtime = prepare_runtime(deterministic=True)
        try:
            weights = []
            for _ in range(2):
                steps = WholeStep(terms, runtime, **options)
                for _ in range(4):
                    steps.step()
                weights.append([value.detach().cpu() for value in steps.model.state_dict().values()])
        finally:
            torch.use_deterministic_algorithms(False)
        assert all(map(torch.equal, *weights)), "two deterministic runs differ"

    return work


def determinism(record: Record, small: dict[str, Any]) -> None:
    for name in sorted(set(entries("loss")) - set(OF_LABELS)):
        record.check(f"D {name}", same_twice({"ce": 1.0} | ({} if name == "ce" else {name: 0.1}), **small))
    for model in ("convnet", "resnet18", "vgg8", "mobilenet_v2", "vit6", "wrn16_2"):
        record.check(f"D {model}", same_twice(KD, student=model, teacher=model, **small))


# --- E. interrupted or not, the same weights --------------------------------------------------------------------------
def resumed(record: Record, *, kind: str = "train", **settings: Any) -> Check:
    def work() -> Found:
        with tempfile.TemporaryDirectory() as name:
            place, parents = Path(name), {}
            if kind == "distill":
                _run(place / "teacher", _spec(record.small, "train", {"epochs": 1}))
                parents = {"teacher": place / "teacher"}
            spec = _spec(record.small, kind, settings)
            _run(place / "whole", spec, parents=parents)
            for after in (10, 3):
                _run(place / "cut", spec, stop_after=after, parents=parents)
            _run(place / "cut", spec, parents=parents)
            return _compared(place, deterministic=spec["settings"]["deterministic"])

    return work


def _compared(place: Path, *, deterministic: bool) -> Found:
    ours, theirs = (load_weights(place / part / "checkpoint/last.safetensors")[0] for part in ("cut", "whole"))
    worst = max(float((ours[name].double() - theirs[name].double()).abs().max()) for name in ours)
    result = read_object(StageFolder(place / "cut").result)
    assert result is not None
    found = {"worst": worst, **{key: result[key] for key in ("attempts", "gpu_memory_mb", "device")}}
    assert worst == 0 or not deterministic, found
    return found


def _run(folder: Path, spec: Found, *, stop_after: int = -1, parents: dict[str, Path] | None = None) -> None:
    """Run a stage, to its end or until it was asked so many times whether to stop."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_after

    try:
        run_stage(in_place(StageFolder(folder), parents=parents or {}, stop_requested=stop))
    except Interrupted:
        return


def _spec(small: bool, kind: str, settings: Found) -> Found:
    weights = {"ce": {"weight": 1.0, "arguments": {}}}
    if kind == "distill":
        weights = {"ce": {"weight": 0.5, "arguments": {}}, "kd": {"weight": 0.5, "arguments": {"temperature": 4.0}}}
    images = {"size": 8, "train": 100, "test": 20} if small else {"size": 32, "train": 1500, "test": 600}
    return {
        "format": 1,
        "pipeline": "gpu_check",
        "stage": kind,
        "seed": 7,
        "kind": kind,
        "role": kind,
        "fingerprint": kind,
        "parents": {"teacher": {"stage": "train", "seed": 7, "fingerprint": "train"}} if kind == "distill" else {},
        "data": {
            "name": "synthetic",
            "root": None,
            "arguments": {"classes": 10, **images},
            "validation": 20 if small else 500,
            "train_subset": None,
            "test_subset": None,
        },
        "settings": {
            "model": {"name": "resnet20", "arguments": {}},
            "epochs": 3,
            "batch_size": 16 if small else 128,
            "optimizer": {"name": "sgd", "arguments": {"lr": 0.05}},
            "schedule": {"name": "cosine", "arguments": {"warmup": 0.5}},
            "loss": weights,
            "augment": {"crop": 4, "flip": True},
            "precision": "auto",
            "deterministic": True,
            "compile": False,
            "checkpoint_every": 1,
            **settings,
        },
        "resources": {},
    }


# --- F. how fast, and how much of it is waiting for the host ----------------------------------------------------------
def rate(run: Callable[[], object], images: int, seconds: float) -> int:
    """Return images per second of a step of so many images; warmed up before."""
    for _ in range(3):
        run()
    wait()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(5):
            run()
        steps += 5
        wait()
    return round(steps * images / (time.perf_counter() - started))


def against_bare(student: str, terms: dict[str, float], seconds: float, **options: Any) -> Check:
    """Compare whole steps with those of the student alone on one resident batch, and with these as one CUDA graph."""

    def work() -> Found:
        runtime = prepare_runtime()
        whole = WholeStep(terms, runtime, student=student, **options)
        size = whole.batches.batch_size
        found: Found = {"precision": runtime.precision, "images_per_second": rate(whole.step, size, seconds)}
        sizes = {name: value for name, value in options.items() if name in ("batch", "size", "count")}
        bare = WholeStep({"ce": 1.0}, runtime, student=student, **sizes)
        resident = next(bare.batches.epoch(0))
        found["bare_step"] = rate(lambda: bare.step(resident), size, seconds)
        found["ratio"] = round(found["images_per_second"] / found["bare_step"], 3)
        if GPU:
            found["one_graph"] = rate(_graph(bare, runtime).replay, size, seconds)
            found["gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
            torch.cuda.reset_peak_memory_stats()
        return found

    return work


def _graph(steps: WholeStep, runtime: Runtime) -> torch.cuda.CUDAGraph:
    """Capture a step: the bound that launching kernels from Python costs. Its weights are not looked at."""
    batch = next(steps.batches.epoch(0))
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            steps.update_on(batch)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        steps.update_on(batch)
    return graph


def side_by_side(student: str, copies: int, rounds: int, **options: Any) -> Check:
    """Train several students in one process, each on a stream of its own: has one GPU room for more?"""

    def work() -> Found:
        many = [WholeStep({"ce": 1.0}, prepare_runtime(), student=student, **options) for _ in range(copies)]
        streams = [torch.cuda.Stream() if GPU else None for _ in many]

        def one_round() -> None:
            for steps, stream in zip(many, streams, strict=True):
                with torch.cuda.stream(stream):
                    steps.step()

        for _ in range(3):
            one_round()
        wait()
        started = time.perf_counter()
        for _ in range(rounds):
            one_round()
        wait()
        images = rounds * sum(steps.batches.batch_size for steps in many)
        return {"copies": copies, "images_per_second": round(images / (time.perf_counter() - started))}

    return work


def speed(record: Record, small: dict[str, Any]) -> None:
    seconds = 0.2 if record.small else 1.5
    for model in ("resnet20", "resnet8", "resnet18", "resnet110", "wrn28_10", "vit_tiny"):
        record.check(f"F {model} alone", against_bare(model, {"ce": 1.0}, seconds, **small))
    for name, (student, terms, options) in {
        "resnet8 beside resnet18": ("resnet8", KD, {"teacher": "resnet18"}),
        "resnet8, cached teacher": ("resnet8", KD, {"cached": True}),
        "resnet20 beside resnet56, review": ("resnet20", {"ce": 1.0, "review": 0.6}, {"teacher": "resnet56"}),
        "resnet110, ema": ("resnet110", {"ce": 1.0}, {"ema": True}),
    }.items():
        record.check(f"F {name}", against_bare(student, terms, seconds, **options, **small))
    if not record.small:
        record.check("F resnet18, batch 1024", against_bare("resnet18", {"ce": 1.0}, seconds, batch=1024, count=4096))
        large = {"size": 224, "batch": 128, "count": 1024}
        record.check("F student_cnn, 224 pixels", against_bare("student_cnn", {"ce": 1.0}, seconds, **large))
    copies, rounds = (2, 3) if record.small else (4, 60)
    record.check("F several resnet20 side by side", side_by_side("resnet20", copies, rounds, **small))


# --- G. what a person reads when memory runs out ----------------------------------------------------------------------
def too_large() -> Found:
    if not GPU:
        return {"left out": "there is no GPU"}
    try:
        with memory_for("training with batch_size 16384", "lower batch_size"):
            WholeStep({"ce": 1.0}, prepare_runtime(), student="wrn28_10", batch=16384, count=16384).step()
    except MemoryFull as error:
        torch.cuda.empty_cache()
        return {"says": str(error)}
    raise AssertionError("it fitted")


def main() -> int:
    """Do the checks that were asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder for gpu_check.json")
    parser.add_argument("--seconds", type=float, default=300, help="no check is begun after this time")
    parser.add_argument("--only", default="ABCDEFG", help="sections by letter")
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    record = Record(folder=options.out, small=options.small, ends=time.monotonic() + options.seconds)
    small: dict[str, Any] = SMALL if options.small else {}
    if "A" in options.only:
        record.check("A the machine", the_machine)
    if "B" in options.only:
        record.check("B stores have the CPU's bits", stores)
    if "C" in options.only:
        losses_and_options(record, small)
    if "D" in options.only:
        determinism(record, small)
    if "E" in options.only:
        mixed = {"ema": {"decay": 0.99}, "clip": 1.0, "mixup": {"alpha": 0.2}}
        record.check("E resumed, deterministic", resumed(record))
        record.check("E resumed, deterministic, distill", resumed(record, kind="distill", **mixed))
        record.check("E resumed, deterministic, float16", resumed(record, precision="float16"))
        record.check("E resumed, not deterministic", resumed(record, deterministic=False))
        record.check("E resumed, compiled", resumed(record, compile=True), least=COMPILING_SECONDS)
    if "F" in options.only:
        speed(record, small)
    if "G" in options.only:
        record.check("G out of memory", too_large)
    print(f"{len(record.rows)} checks, {len(record.failed())} failed {record.failed() or ''}")
    return 1 if record.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
