"""The user's own functions and classes as entries of the catalogue, read from their syntax trees."""

from __future__ import annotations

from collections.abc import Mapping

from kd.entry import Entry
from kd.losses.inputs import INPUTS
from kd.user_code.definitions import read_entry
from kd.user_code.identity import source_identity
from kd.user_code.names import SEPARATOR, places_of, split_name, whole_name
from kd.user_code.sources import NotReadable

# kind -> the function of this project that calls what is the user's
CALLERS: Mapping[str, tuple[str, str]] = {
    "model": ("kd.models.user_model", "user_model"),
    "dataset": ("kd.data.user_images", "user_images"),
    "loss": ("kd.losses.user_loss", "user_loss"),
    "augmentation": ("kd.train.user_augmentation", "user_augmentation"),
}


def find_user_entry(kind: str, name: str) -> Entry | None:
    """Return the entry of what a name means in the user's code, or None where it means nothing that can be read."""
    parts = _parts(kind, name)
    if parts is None:
        return None
    try:
        return _entry(kind, *parts)
    except NotReadable:
        return None


def why_unreadable(kind: str, name: str) -> str | None:
    """Return why a name leads to no entry, to end an error line; None where it is no name of the user's code."""
    if kind not in CALLERS:
        if split_name(name):
            return f"{kind} '{name}': code of your own can be {', '.join(CALLERS)}, and no {kind}"
        return None
    if len(places := places_of(name)) > 1:
        listed = " and ".join(source.place for source in places)
        return f"{kind} '{name}' stands in {listed}; write '{places[0].module}{SEPARATOR}{name}', say"
    parts = _parts(kind, name)
    if parts is None:
        return None
    try:
        _entry(kind, *parts)
    except NotReadable as reason:
        return f"{kind} '{name}': {reason}"
    raise AssertionError(f"{name} can be read")


def double_meaning(kind: str, name: str) -> str | None:
    """Return why a name of kd's catalogue cannot be used beside the user's own of the same name; None where it can."""
    if kind not in CALLERS or not (places := places_of(name)):
        return None
    place = places[0]
    return (
        f"kd has a {kind} '{name}', and {place.place} defines one too; "
        f"write '{place.module}{SEPARATOR}{name}' for yours, or rename it"
    )


def _parts(kind: str, name: str) -> tuple[str, str] | None:
    """Return module and attribute that a name means in the user's code."""
    if kind not in CALLERS:
        return None
    return split_name(name) or ((whole := whole_name(name)) and split_name(whole)) or None


def _entry(kind: str, module: str, attribute: str) -> Entry:
    found = read_entry(kind, module, attribute, batch=INPUTS)
    place, function = CALLERS[kind]
    return Entry(
        name=found.name,
        module=place,
        summary=found.summary,
        inputs=found.called_with or found.signature.supplied,
        arguments=found.signature.arguments,
        open_ended=found.signature.open_ended,
        identity=source_identity(found),
        function=function,
        bound={"module": module, "attribute": attribute},
    )
