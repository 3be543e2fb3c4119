"""A step of a training, recorded once on a GPU and replayed by one call: ``compile: graph``.

Small networks leave a large GPU waiting for Python, which launches every operation by itself. A CUDA graph launches all
of them at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). It reads and writes the same memory
every time, so the batch, the learning rates and the other numbers of a step are copied to where it looks for them.
Random numbers (dropout) come from the GPU's generator, which each replay moves on as the plain step would, so that
checkpoints and resumes are those of plain steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from kd.errors import SpecError
from kd.train.checkpoint import random_state, set_random_state
from kd.train.plain_step import PlainStep
from kd.train.state import Training
from kd.train.step import Batch, EpochObjective, Losses, Mixed

WARM_UPS = 3  # steps before a recording: libraries choose their algorithms and take their memory in them

Work = Callable[[], None]
Record = Callable[[Work], Work]


class CapturedStep:
    """Does a plain step's operations as one recording, made at the first step, after a resume if there is one.

    Where the objective asks for the number of the epoch, which is no tensor, each epoch is recorded anew. ``record``
    turns work into its replay. Raises SpecError when the step cannot be recorded.
    """

    def __init__(
        self, plain: PlainStep, *, training: Training, objective: EpochObjective, record: Record | None = None
    ) -> None:
        self._plain, self._training, self._objective = plain, training, objective
        self._record = recorded_on_gpu if record is None else record
        groups, device = training.optimizer.param_groups, training.meter.losses.device
        self._rates = [torch.zeros((), device=device) for _ in groups]
        self._share = torch.zeros((), device=device)  # of the new weights in their average
        self._inputs: Batch | None = None
        self._losses: Losses | None = None
        self._replay: Work | None = None

    def __call__(self, batch: Batch, number: int) -> Losses:
        """Do step ``number`` (from 0, over all epochs). The next step overwrites the losses that are returned."""
        self._objective.follow(batch.view)
        self._fill(batch, number)
        if self._replay is None:
            with undone(self._training):
                self._replay = self._record(self._work)
        self._replay()
        assert self._losses is not None
        return self._losses

    def _fill(self, batch: Batch, number: int) -> None:
        """Copy what this step works on to where the recording reads it, without waiting for the device."""
        if self._inputs is None:
            self._inputs = _of_its_own(batch)
        else:
            _copy(batch, self._inputs)
        if batch.view != self._inputs.view:
            self._inputs = replace(self._inputs, view=batch.view)
            self._replay = None if self._objective.asks_epoch else self._replay
        for rate, group in zip(self._rates, self._training.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        if self._plain.average is not None:
            self._share.fill_(self._plain.average.share_of_new(number))

    def _work(self) -> None:
        assert self._inputs is not None
        with self._rates_as_tensors():
            self._losses = self._plain.descend(self._inputs)
        if self._plain.average is not None:
            self._plain.average.take_in(self._share)

    @contextmanager
    def _rates_as_tensors(self) -> Iterator[None]:
        """Let the optimizer read its learning rates from the device; outside they stay numbers, as checkpoints have."""
        groups = self._training.optimizer.param_groups
        numbers = [group["lr"] for group in groups]
        capturing = self._share.is_cuda and torch.cuda.is_current_stream_capturing()
        for group, rate in zip(groups, self._rates, strict=True):
            group["lr"] = rate
            if "capturable" in group:
                group["capturable"] = capturing
        try:
            yield
        finally:
            for group, number in zip(groups, numbers, strict=True):
                group["lr"] = number
                if "capturable" in group:
                    group["capturable"] = False


def recorded_on_gpu(work: Work) -> Work:
    """Do some work a few times, record it as a CUDA graph, and return what replays it. Raises SpecError."""
    drawn = _host_draws()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(side)
    if _host_draws() != drawn:
        raise SpecError([_refusal("it draws random numbers on the CPU, which every replay would repeat")])
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=side):
            work()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise SpecError([_refusal(str(_first(error)).partition("\n")[0])]) from error
    return graph.replay


def _refusal(reason: str) -> str:
    return f"compile: a step of this training cannot be captured as a graph: {reason}; use 'compile: false'"


def _first(error: BaseException) -> BaseException:
    """Return the first of a chain of errors: ending a recording that has failed fails too."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _host_draws() -> tuple[bytes, object]:
    """Return where the generators stand whose numbers Python draws and a recording would freeze."""
    return bytes(torch.get_rng_state().numpy()), random.getstate()


@contextmanager
def undone(training: Training) -> Iterator[None]:
    """Take back, at the end of the block, all that steps in it change, but the meter, which no step touches.

    What an optimizer keeps of earlier steps begins at zero, which is what its first step begins with.
    """
    modules = [*training.model.state_dict().values(), *training.adapters.state_dict().values()]
    written = modules + ([] if training.average is None else list(training.average.weights.values()))
    written += _tensors_of(training)
    kept, draws = [tensor.detach().clone() for tensor in written], random_state()
    yield
    with torch.no_grad():
        known = {id(tensor) for tensor in written}
        for tensor, value in zip(written, kept, strict=True):
            tensor.copy_(value)
        for tensor in _tensors_of(training):
            if id(tensor) not in known:
                tensor.zero_()
    set_random_state(draws)


def _tensors_of(training: Training) -> list[Tensor]:
    states = training.optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, Tensor)]


def _of_its_own(batch: Batch) -> Batch:
    """Return a copy of a batch whose tensors nothing else writes to; numbers of its mixing become tensors."""
    mixed = batch.mixed and Mixed(
        labels=batch.mixed.labels.clone(),
        share=torch.full((), float(batch.mixed.share), device=batch.images.device),
    )
    return replace(
        batch,
        images=batch.images.clone(),
        labels=batch.labels.clone(),
        indices=batch.indices.clone(),
        privileged=None if batch.privileged is None else batch.privileged.clone(),
        mixed=mixed,
    )


def _copy(batch: Batch, into: Batch) -> None:
    """Copy a batch into another of its shape, without waiting for the device."""
    pairs = [(into.images, batch.images), (into.labels, batch.labels), (into.indices, batch.indices)]
    if into.privileged is not None and batch.privileged is not None:
        pairs.append((into.privileged, batch.privileged))
    if into.mixed is not None and batch.mixed is not None:
        pairs.append((into.mixed.labels, batch.mixed.labels))
        assert isinstance(into.mixed.share, Tensor)
        into.mixed.share.fill_(batch.mixed.share)
    for place, value in pairs:
        place.copy_(value)
