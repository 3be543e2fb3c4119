"""What a training minimises: a weighted sum of named loss terms of the catalogue.

Each loss function names what it needs by its positional parameters (``kd.losses.inputs``); the objective
computes only that. Networks run under autocast, losses outside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from kd.catalog import find, load
from kd.distill.adapter_training import build_adapter
from kd.distill.outputs import TEACHERS, Outputs, Teacher
from kd.errors import SpecError
from kd.losses.inputs import ADAPTER, COUNTS, INPUTS, LABELS, SAME, TEACHER, TEACHER_LOGITS, LossInputs
from kd.losses.mixture import Mixture
from kd.train.step import Batch, Losses, Mixed


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One named, weighted loss. ``inputs`` are the positional parameters of ``loss``, in order.

    ``of`` is the loss's name in the catalogue. ``temperature`` is that of a loss which softens the teacher's logits,
    None of any other. ``teacher`` is the number, from 0, of the one of several teachers that it asks; None: all.
    ``module`` is the loss itself where it is the user's own, which may have parameters to train.
    """

    name: str
    of: str
    weight: float
    loss: Callable[..., Tensor]
    inputs: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    teacher: int | None = None
    module: nn.Module | None = None

    def needs(self, *inputs: str) -> bool:
        """Return whether the loss asks for any of these."""
        return any(name in self.inputs for name in inputs)


def make_term(
    name: str,
    weight: float,
    arguments: Mapping[str, Any] | None = None,
    *,
    loss: str | None = None,
    teacher: int | None = None,
) -> Term:
    """Return the term of a loss of the catalogue. ``name`` is the term's name, and the loss's without ``loss``."""
    of = loss or name
    entry, function = find("loss", of), load("loss", of)
    if entry is not None and entry.identity is not None:
        own = function(**(arguments or {}))
        return Term(name=name, of=of, weight=weight, loss=own, inputs=entry.inputs, teacher=teacher, module=own)
    parameters = inspect.signature(function).parameters
    inputs = tuple(p.name for p in parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY)
    unknown = set(inputs).difference(INPUTS)
    assert not unknown, f"loss {of} asks for {unknown}, which no objective can give"
    given = dict(arguments or {})
    softens = not TEACHER_LOGITS.isdisjoint(inputs) and "temperature" in parameters
    return Term(
        name=name,
        of=of,
        weight=weight,
        loss=partial(function, **given),
        inputs=inputs,
        arguments=given,
        temperature=given.get("temperature", parameters["temperature"].default) if softens else None,
        teacher=teacher,
    )


class WeightedTerms:
    """An objective (see kd.train.step) of weighted terms, with a teacher where a term needs one.

    ``example`` and ``labels_N`` (a batch, and the classes of all training images) are needed where a loss has an
    adapter: it is built by a dry run of the batch. Losses for uneven classes need ``labels_N`` too. ``gather`` makes
    the whole batch of what each of several processes has a share of (``Processes.gather``). ``temperature`` gives, for
    an epoch, the temperature of all losses that soften the teacher's logits, in place of their own; with ``numbers_on``
    it is a tensor on that device, for steps that are captured. Raises SpecError when there is no term, a term needs a
    teacher and there is none, or a network lacks the features a term needs.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        *,
        student: nn.Module,
        teacher: Teacher | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        example: Batch | None = None,
        labels_N: Tensor | None = None,
        gather: Callable[[Any], Any] = lambda share: share,
        temperature: Callable[[int], float] | None = None,
        numbers_on: torch.device | None = None,
    ) -> None:
        if not terms:
            raise SpecError(["loss: at least one term is needed, for instance ce: 1"])
        lonely = [term.name for term in terms if term.needs(*TEACHER) and teacher is None]
        if lonely:
            raise SpecError([f"loss: {', '.join(lonely)} needs a teacher, and this stage has none"])
        self._terms, self._gather, self._temperature = tuple(terms), gather, temperature
        self._softness: float | Tensor = 0.0 if numbers_on is None else torch.zeros((), device=numbers_on)
        self._view: int | None = None  # whose temperature that is
        wanted = {name for term in terms for name in term.inputs}
        self._counts = _counts(labels_N) if not wanted.isdisjoint(COUNTS) else None
        self._outputs = Outputs(student=student, teacher=teacher, wanted=wanted, autocast=autocast)
        self.adapters = nn.ModuleDict()
        own = {term.name.replace(".", "/"): term for term in terms if term.module is not None}
        unfinished = [term for term in own.values() if _is_unfinished(term)]
        if unfinished or any(term.needs(*ADAPTER) for term in terms):
            assert example is not None, "losses with adapters need an example to build them by"
            # of several processes each has a share of the example, and losses see the whole batch
            seen = {name: gather(value) for name, value in self._outputs.dry_run(student, example).items()}
            constants = getattr(teacher, "constants", {})
            self._build(unfinished, _with_constants({**seen, "labels_N": labels_N}, constants))
        self.adapters.update({name: term.module for name, term in own.items() if term.module is not None})
        if example is not None:
            self.adapters.to(example.images.device)

    def _build(self, unfinished: Sequence[Term], seen: LossInputs) -> None:
        """Build the losses' adapters, and let layers of unknown width see a batch."""
        for term in self._terms:
            if term.needs(*ADAPTER):
                self.adapters[term.name] = build_adapter(term.of, _asked(term, seen), term.arguments)
        if self._counts is not None:
            seen |= _named_counts(self._counts, seen["student_logits_BC"])
        with torch.no_grad():
            for term in unfinished:
                self._loss(term, seen)

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in the order of ``Losses.parts``."""
        return tuple(term.name for term in self._terms)

    @property
    def asks_epoch(self) -> bool:
        """Whether a loss asks for the number of the epoch."""
        return self._outputs.asks_epoch

    def follow(self, view: int) -> None:
        """Take up what an epoch brings: the temperature, a cached teacher's view."""
        self._outputs.follow(view)
        if self._temperature is None or view == self._view:
            return
        value, self._view = self._temperature(view), view
        if isinstance(self._softness, Tensor):
            self._softness.fill_(value)
        else:
            self._softness = value

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """Return the losses of one batch; ``model`` is the student or its compiled form."""
        self.follow(batch.view)
        seen = {name: self._gather(value) for name, value in self._outputs(model, batch).items()}
        if self._counts is not None:
            self._counts = self._counts.to(seen["student_logits_BC"].device)  # once: a copy in each step would wait
            seen |= _named_counts(self._counts, seen["student_logits_BC"])
        if self._temperature:
            seen["temperature"] = self._softness
        mixed = batch.mixed and replace(batch.mixed, labels=self._gather(batch.mixed.labels))
        parts = torch.stack([self._part(term, seen, mixed) for term in self._terms])
        total = torch.stack([term.weight * part for term, part in zip(self._terms, parts, strict=True)]).sum()
        return Losses(total=total, parts=parts.detach(), logits=seen["student_logits_BC"].detach())

    def _part(self, term: Term, seen: LossInputs, mixed: Mixed | None) -> Tensor:
        """Return a term's loss; of mixed images one that asks for labels weighs both labels' by their shares."""
        loss = self._loss(term, seen)
        if mixed is None or not term.needs(*LABELS):
            return loss
        partners = {name: mixed.labels for name in LABELS if name in seen}
        return mixed.share * loss + (1 - mixed.share) * self._loss(term, {**seen, **partners})

    def _loss(self, term: Term, seen: LossInputs) -> Tensor:
        given = _asked(term, seen)
        if term.needs(*ADAPTER):
            given["adapter"] = self.adapters[term.name]
        scheduled = {"temperature": seen["temperature"]} if self._temperature and term.temperature else {}
        if "teacher_logits_BMC" in seen and term.teacher is None and term.needs(*TEACHER_LOGITS):
            given["teacher_logits_BC"] = Mixture(seen["teacher_logits_BMC"], seen["teacher_weights_BM"])
        return term.loss(*(given[SAME.get(name, name)] for name in term.inputs), **scheduled)


def _is_unfinished(term: Term) -> bool:
    """Whether a loss has layers whose sizes are known only from its first inputs (``nn.LazyLinear``)."""
    return term.module is not None and any(map(is_lazy, term.module.parameters()))


def _asked(term: Term, seen: LossInputs) -> LossInputs:
    """Return what a term sees: of several teachers, where it names one, that one's outputs."""
    return dict(seen) if term.teacher is None else {**seen, **seen[TEACHERS][term.teacher]}


def _with_constants(seen: Mapping[str, Any], constants: Mapping[str, Any]) -> dict[str, Any]:
    """Return what builders of adapters see: what teachers are, beside what they gave."""
    own = {name: value for name, value in constants.items() if name != TEACHERS}
    if TEACHERS in seen:
        each = zip(seen[TEACHERS], constants[TEACHERS], strict=True)
        own[TEACHERS] = [_with_constants(given, fixed) for given, fixed in each]
    return {**seen, **own}


def _counts(labels_N: Tensor | None) -> Tensor:
    """Return how many training images are of each class [C], or have each label not and have it [K, 2]."""
    assert labels_N is not None, "losses for uneven classes need the labels of all training images"
    labels = labels_N.cpu()
    if labels.ndim == 1:
        return torch.bincount(labels)
    have = labels.sum(0, dtype=torch.int64)
    return torch.stack([len(labels) - have, have], 1)


def _named_counts(counts: Tensor, logits: Tensor) -> dict[str, Tensor]:
    """Return the counts under the name by which losses ask for them; the last classes may have no training image."""
    if counts.ndim == 2:
        return {"label_counts_K2": counts}
    none = counts.new_zeros(logits.shape[1] - len(counts))
    return {"class_counts_C": torch.cat([counts, none])}
