"""What is wrong with the loss of a training: names and weights of terms, and what teachers and labels do not give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from kd import catalog
from kd.errors import did_you_mean
from kd.jobfile.faults import named_faults
from kd.jobfile.schema import TermOptions
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault
from kd.losses.inputs import LABELS
from kd.losses.label_kinds import loss_misfit, sampling_misfit
from kd.rundir.stage_spec import Sampling

Term: TypeAlias = tuple[str, str, TermOptions]  # its name, its loss, itself

TERM_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)  # it names a column of metrics.csv
# of mixed images, these losses are the mean of what each label alone would cost
LINEAR_IN_LABELS = ("ce", "bce", "balanced_ce", "balanced_bce")


def loss_faults(
    terms: Sequence[Term], teachers: Sequence[str], address: Address, *, share_one: bool
) -> Iterator[Fault]:
    """Yield what is wrong with the terms and with the sum of their weights; ``share_one``: it is to be 1."""
    for name, loss, term in terms:
        where = (*address, name)
        yield from named_faults("loss", loss, term.arguments, where, ["weight", "loss", "teacher"])
        yield from _naming_faults(name, term, teachers, where)
        if takes_from_teacher(loss) and not teachers:
            yield where, f"loss '{loss}' needs a teacher: use 'kind: distill' and name one"
    total = sum(term.weight for _, _, term in terms)
    if total == 0:
        yield address, "the weights of the loss sum to 0: nothing would be learned"
    elif share_one and abs(total - 1) > 1e-6:
        yield address, f"the weights of ce and kd sum to {total:g}, not 1 (set 'free_weights: true' to mean it)"


def _naming_faults(name: str, term: TermOptions, teachers: Sequence[str], address: Address) -> Iterator[Fault]:
    """Yield why a term cannot be called so, or cannot ask the teacher that it names."""
    if term.loss is not None and TERM_NAME.fullmatch(name) is None:
        yield address, f"'{name}' is no name of a term: expected letters, digits and _"
    elif term.loss not in (None, name) and (known := catalog.find("loss", name)) and known.name != term.loss:
        yield address, f"a term called '{name}' is that loss, not '{term.loss}'; give it another name"
    if term.teacher is None:
        return
    if term.teacher not in teachers:
        near = did_you_mean(term.teacher, list(teachers))
        yield (*address, "teacher"), f"'{term.teacher}' is no teacher of this stage{near}"
    elif not takes_from_teacher(term.loss or name):
        yield (*address, "teacher"), f"loss '{term.loss or name}' asks no teacher"


def mixing_faults(terms: Sequence[Term], mixing: str | None, address: Address) -> Iterator[Fault]:
    """Yield the losses that know an image by one label or by its number, where images are mixed."""
    for name, loss, _ in terms if mixing else ():
        entry = catalog.find("loss", loss)
        if entry and loss not in LINEAR_IN_LABELS and not {*LABELS, "indices_B"}.isdisjoint(entry.inputs):
            yield (*address, name), f"loss '{loss}' needs one true class per image, which {mixing} takes away"


def label_faults(
    terms: Sequence[Term], sampling: Sampling | None, address: Address, *, multi_label: bool
) -> Iterator[Fault]:
    """Yield the losses, and the sampling, that do not fit images of one label or of several; ``address``: the stage."""
    for name, loss, _ in terms:
        entry = catalog.find("loss", loss)
        if entry and (fault := loss_misfit(loss, entry.inputs, multi_label=multi_label)):
            yield (*address, "loss", name), fault
    if fault := sampling_misfit(sampling, [loss for _, loss, _ in terms], multi_label=multi_label):
        yield (*address, "sampling"), fault


def takes_from_teacher(loss: str) -> bool:
    """Whether a loss takes anything from a teacher; False for a loss that the catalogue does not know."""
    entry = catalog.find("loss", loss)
    return entry is not None and any(name.startswith("teacher") for name in entry.inputs)
