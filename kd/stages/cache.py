"""Stage kind "cache": run a trained teacher once over fixed views of all training images, for all students and seeds.

``kd.distill.cached_teacher`` describes the file it leaves. The file depends on the teacher, the data and the
augmentation, and on the seed of nobody but the teacher.
"""

from __future__ import annotations

import socket
import sys
import time

import msgspec
import torch
from torch import Tensor

from kd.compress.cost import count_parameters
from kd.data.augment import SHARED_SEED
from kd.distill.cached_teacher import LOGITS, VALIDATION_LOGITS, CacheCard, write_cache
from kd.distill.outputs import POOLED
from kd.distill.teacher import LiveTeacher, load_trained_model
from kd.rundir.folders import CACHE, CHECKPOINT
from kd.rundir.progress import Heartbeat, Progress
from kd.rundir.result_sections import CacheFacts, Seconds
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import CacheSettings, StageSpec
from kd.stages.context import Interrupted, StageContext
from kd.stages.result_file import circumstances, identity
from kd.stages.stage_data import StageData, load_data
from kd.stages.trained_model import FoundModel, find_trained_model, validation_logits
from kd.train.checkpoint import PREVIOUS, RESUME, load_resume, save_resume
from kd.train.device import Runtime, prepare_runtime
from kd.train.state import Stopwatch
from kd.train.step import Batch

CHECKPOINT_SECONDS = 300.0


def run(context: StageContext, spec: StageSpec[CacheSettings]) -> StageResult:
    """Write the cache and return the result.

    Continues from ``work/checkpoint/resume.pt`` if there is one. Raises Interrupted when asked to stop, and UserError
    when the data or the teacher cannot be used.
    """
    watch = Stopwatch()
    settings = spec.settings
    runtime = prepare_runtime(precision=settings.precision, deterministic=settings.deterministic)
    found = find_trained_model(context.parents["teacher"])
    data = load_data(
        spec.data,
        augment=settings.augment,
        staged=context.data_root,
        device=runtime.device,
        modalities=found.modalities,
    )
    card = data.card(found.component)
    model, own = load_trained_model(found.path, student=card)
    teacher = LiveTeacher(
        runtime.place(model), own=own, student=card, features=settings.pooled, autocast=runtime.autocast
    )
    outputs = _Outputs(context, spec, data, teacher)
    tensors = outputs.collect()
    held = _card(settings, found, data, runtime)
    write_cache(context.work / CACHE, tensors, held)
    return StageResult(
        **identity(context, spec, context.publish([CACHE])),
        **circumstances(runtime, data),
        teacher=found.origin,
        parameters=count_parameters(model),  # of the teacher
        cache=CacheFacts(key=held.key, shapes={name: list(tensor.shape) for name, tensor in tensors.items()}),
        attempts=outputs.attempt,
        seconds=Seconds(total=watch.seconds),
    )


def _card(settings: CacheSettings, found: FoundModel, data: StageData, runtime: Runtime) -> CacheCard:
    return CacheCard(
        teacher=found.digest,
        images=data.content_digest(),
        augment=msgspec.to_builtins(settings.augment),
        views=settings.views,
        classes=data.arrays.classes,
        precision=runtime.precision,
    )


class _Outputs:
    """A teacher's outputs, view by view and batch by batch, in memory until they are all there."""

    def __init__(
        self, context: StageContext, spec: StageSpec[CacheSettings], data: StageData, teacher: LiveTeacher
    ) -> None:
        self._context, self._fingerprint = context, spec.fingerprint
        self._views = spec.settings.views
        self._data, self._teacher = data, teacher
        self._batches = torch.split(torch.arange(len(data.train)), data.train.evaluation_batch)
        self._heartbeat = Heartbeat(context.folder.progress)
        self._saved_at = time.monotonic()
        self.attempt = 1
        self._done = 0  # batches, over all views
        self._tensors: dict[str, Tensor] = {}

    def collect(self) -> dict[str, Tensor]:
        """Return all tensors of the cache. Raises Interrupted when asked to stop, once everything is saved."""
        self._resume()
        steps = len(self._batches)
        views, drawn = None, -1
        while self._done < self._views * steps:
            view, step = divmod(self._done, steps)
            if view != drawn:
                views, drawn = self._data.train.views(seed=SHARED_SEED, view=view), view
            indices = self._batches[step]
            self._keep(view, indices, self._data.train.batch(indices, views))
            self._done += 1
            self._after_batch(view, step + 1)
        return {**self._tensors, VALIDATION_LOGITS: validation_logits(self._teacher, self._data.validation)}

    def _keep(self, view: int, indices: Tensor, images: Tensor) -> None:
        """Run the teacher on a batch and put its outputs in their place."""
        labels = self._data.train.labels[indices.to(self._data.device)]
        given = self._teacher(Batch(images=images, labels=labels, indices=indices, view=view))
        found = {LOGITS: given["teacher_logits_BC"]}
        if "teacher_features" in given:
            found[POOLED] = given["teacher_features"][POOLED].float()
        for name, values in found.items():
            if name not in self._tensors:
                self._tensors[name] = torch.empty(self._views, len(self._data.train), values.shape[1])
            self._tensors[name][view, indices] = values.cpu()

    def _after_batch(self, view: int, step: int) -> None:
        """Stop if asked to, save if it is time to."""
        stop = self._context.stop_requested()
        if stop or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._save()
        if stop:
            raise Interrupted(f"stopped in view {view + 1} after batch {step}")
        if self._heartbeat.due() or self._done == self._views * len(self._batches):
            self._heartbeat.write(
                Progress(
                    epoch=view + 1,
                    epochs=self._views,
                    step=step,
                    steps=len(self._batches),
                    attempt=self.attempt,
                    host=socket.gethostname(),
                    job_id=self._context.job_id,
                )
            )

    def _save(self) -> None:
        folder = self._context.work / CHECKPOINT
        state = {"tensors": self._tensors, "done": self._done, "attempt": self.attempt}
        save_resume(folder, {"fingerprint": self._fingerprint, **state})
        self._context.publish([f"{CHECKPOINT}/{name}" for name in (PREVIOUS, RESUME) if (folder / name).exists()])
        self._saved_at = time.monotonic()

    def _resume(self) -> None:
        saved = load_resume(self._context.work / CHECKPOINT)
        if saved and saved["fingerprint"] != self._fingerprint:
            print("kd: the checkpoint is of other settings; the cache starts over", file=sys.stderr)
        elif saved:
            self._tensors, self._done, self.attempt = saved["tensors"], saved["done"], saved["attempt"] + 1
