"""Faults of the parts of a job file that name something in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from kd import catalog
from kd.jobfile.schema import Component, Data
from kd.jobfile.shapes import Shape, image_shape
from kd.jobfile.source import Address

Fault: TypeAlias = tuple[Address, str]


def component_faults(kind: str, component: Component, place: Address) -> Iterator[Fault]:
    """Yield the faults of a component, which stands under its kind in the stage at ``place``."""
    yield from named_faults(kind, component.name, component.arguments, (*place, kind), ["name"])


def named_faults(kind: str, name: str, given: Mapping[str, Any], place: Address, own: Sequence[str]) -> Iterator[Fault]:
    """Yield the faults of a name of the catalogue and of its arguments; ``own`` keys stand beside these."""
    entry = catalog.find(kind, name)
    if entry is None:
        # where the name is itself the key (a loss), the nearest known part of this address is the key
        yield (*place, "name"), catalog.unknown(kind, name)
        return
    for inside, message in catalog.check_arguments(entry, kind, given, own):
        yield (*place, *inside), message


def data_faults(data: Data, place: Address) -> Iterator[Fault]:
    """Yield the faults of a data set."""
    yield from named_faults("dataset", data.name, data.arguments, place, list(Data.model_fields))
    if data.train_subset is not None and data.validation_images(data.train_subset) >= data.train_subset:
        yield (
            (*place, "validation"),
            f"{data.validation} validation images leave none to train on: train_subset is {data.train_subset}",
        )


def declared_shape(data: Data) -> Shape | None:
    """Return the declared shape of a data set, or None when none is, or when its name or arguments are wrong."""
    return None if any(data_faults(data, ())) else image_shape(data)
