"""What a training minimises: a weighted sum of named loss terms of the catalogue.

Each loss function says by the names of its positional parameters what it needs (STUDENT_INPUTS,
TEACHER_INPUTS); the objective computes only that. Networks run under autocast, losses outside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kd.catalog import load
from kd.distill.features import FeatureTaps
from kd.errors import SpecError
from kd.train.step import Batch, Losses

# what a loss may ask for; features are mappings from tap names to tensors
STUDENT_INPUTS = ("student_logits_BC", "labels_B", "student_features")
TEACHER_INPUTS = ("teacher_logits_BC", "teacher_features")

Teacher = Callable[[Batch], Mapping[str, Any]]  # a batch -> TEACHER_INPUTS, or as many of them as it can give


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One named, weighted loss. ``inputs`` are the positional parameters of ``loss``, in order."""

    name: str
    weight: float
    loss: Callable[..., Tensor]
    inputs: tuple[str, ...]

    def needs(self, *inputs: str) -> bool:
        """Return whether the loss asks for any of these."""
        return any(name in self.inputs for name in inputs)


def make_term(name: str, weight: float, arguments: Mapping[str, Any] | None = None) -> Term:
    """Return the term of a loss of the catalogue. ``name`` is the loss's name and the term's."""
    function = load("loss", name)
    parameters = inspect.signature(function).parameters.values()
    inputs = tuple(p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY)
    unknown = set(inputs) - {*STUDENT_INPUTS, *TEACHER_INPUTS}
    assert not unknown, f"loss {name} asks for {unknown}, which no objective can give"
    return Term(name=name, weight=weight, loss=partial(function, **(arguments or {})), inputs=inputs)


class WeightedTerms:
    """An objective (see kd.train.step) of weighted terms, with a teacher where a term needs one.

    Raises SpecError when there is no term, or a term needs a teacher and there is none.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        *,
        student: nn.Module,
        teacher: Teacher | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        if not terms:
            raise SpecError(["loss: at least one term is needed, for instance ce: 1"])
        lonely = [term.name for term in terms if term.needs(*TEACHER_INPUTS) and teacher is None]
        if lonely:
            raise SpecError([f"loss: {', '.join(lonely)} needs a teacher, and this stage has none"])
        self._terms, self._autocast = tuple(terms), autocast
        self._teacher = teacher if any(term.needs(*TEACHER_INPUTS) for term in terms) else None
        self._taps = FeatureTaps(student) if any(term.needs("student_features") for term in terms) else None

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names, in the order of ``Losses.parts``."""
        return tuple(term.name for term in self._terms)

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """Return the losses of one batch; ``model`` is the student or its compiled form."""
        given: dict[str, Any] = dict(self._teacher(batch)) if self._teacher else {}
        with self._autocast():
            logits_BC = model(batch.images)
        given["student_logits_BC"], given["labels_B"] = logits_BC.float(), batch.labels
        if self._taps:
            given["student_features"] = self._taps.collect()
        parts = torch.stack([term.loss(*(given[name] for name in term.inputs)) for term in self._terms])
        total = torch.stack([term.weight * part for term, part in zip(self._terms, parts, strict=True)]).sum()
        return Losses(total=total, parts=parts.detach(), logits=given["student_logits_BC"].detach())
