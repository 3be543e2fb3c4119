"""Fingerprints: a digest of everything that changes what a stage computes, and of nothing else.

What a job file names by a path counts by its content, and what it names by a catalogue's name by its source.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from kd.catalog import find
from kd.entry import Entry
from kd.jobfile.data_content import data_identity
from kd.jobfile.source_digests import declared_digest, source_digest
from kd.jobfile.versions import LATER_ARGUMENTS, Layer, version_of_data, version_of_loss, versions_of
from kd.rundir.counted_file import CONTENT_OF
from kd.rundir.stage_spec import NOT_IN_FINGERPRINT
from kd.user_entries import CALLERS

Content: TypeAlias = Mapping[str, Any]  # a part of spec.json as JSON

_COMPONENTS = ("model", "optimizer", "schedule", "weighting", "temperature")
_WEIGHTS = ("file", "pretrained")
_USERS = tuple(function for _, function in CALLERS.values())  # that call code of the user's own


def fingerprint(kind: str, layers: Iterable[Layer], content: Content) -> str:
    """Return the digest of what a job of a kind does, by which layers of code; ``content`` is JSON."""
    whole = {**content, "kind": kind, "code": versions_of(layers)}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:32]


def stage_content(settings: Content, data: Content, identity: str) -> Content:
    """Return what decides of a stage's settings and data (JSON), with the ``identity`` of its data root.

    The source of a catalogue function counts where the declared versions do not stand for it.
    """
    arguments = {key: _by_content(value) if _is_absolute(value) else value for key, value in data["arguments"].items()}
    own = _code_of("dataset", data["name"])
    counted = {**data, "arguments": arguments, "root": identity, **version_of_data(data["name"]), **own}
    entries = [entry for _, entry in _named_entries(settings, data)]
    digests = {(entry.module, entry.function): source_digest(entry.module, entry.function) for entry in entries}
    edited = {".".join(place): digest for place, digest in digests.items() if digest != declared_digest(*place)}
    return {"settings": deciding(settings), "data": counted, **({"source": edited} if edited else {})}


def counted_by_content(settings: Content, data: Content, identity: str, layers: Iterable[Layer]) -> dict[str, str]:
    """Return the digest of all that a stage counts by what it is, by the words for it: what ``has changed``."""
    counted = {_source_of(kind, entry): _source_digest(entry) for kind, entry in _named_entries(settings, data)}
    files = [*_named_files(settings), *filter(_is_absolute, data["arguments"].values())]
    counted |= {f"{CONTENT_OF}{file}": data_identity(os.path.expanduser(file)) for file in files}
    counted |= {f"the declared version of kd's {layer} code": str(n) for layer, n in versions_of(layers).items()}
    counted |= {f"the declared version of loss '{name}'": str(version_of_loss(name)) for name in _loss_names(settings)}
    counted |= {f"the declared version of data set '{data['name']}'": str(version_of_data(data["name"]))}
    return counted if data["root"] is None else {**counted, f"{CONTENT_OF}{data['root']}": identity}


def users_code(settings: Content, data: Content | None) -> dict[str, str]:
    """Return the digest of each piece of the user's own code, by the words that ``counted_by_content`` has for it."""
    found = _named_entries(settings, data)
    return {_source_of(kind, entry): _source_digest(entry) for kind, entry in found if entry.function in _USERS}


def _source_of(kind: str, entry: Entry) -> str:
    return f"the source of {kind} '{entry.name}'"


def _source_digest(entry: Entry) -> str:
    return f"{source_digest(entry.module, entry.function)} {entry.identity or ''}"


def deciding(settings: Content) -> Content:
    """Return the settings (JSON) that decide what comes out of a stage; those of a search hold a training's.

    Files count by what is in them: the weights of a stage, and every argument that names a file.
    """
    kept = {
        key: deciding(value) if key == "training" else _by_content(value)
        for key, value in settings.items()
        if key not in NOT_IN_FINGERPRINT
    }
    if isinstance(file := settings.get("file"), str):
        kept["file"] = data_identity(file)
    if "model" in kept:
        kept["model"] = _deciding_model(settings["model"])
    if isinstance(own := (settings.get("augment") or {}).get("own"), Mapping):
        kept["augment"] = {**kept["augment"], "code": _code_of("augmentation", own["name"])}
    if "loss" in kept:
        kept["loss"] = {name: _deciding_term(name, term) for name, term in kept["loss"].items()}
    return kept


def _deciding_term(name: str, term: Content) -> Content:
    """Return what decides of a loss's term: its version, and no later argument that is as if it were not there."""
    kept = {
        key: value
        for key, value in term["arguments"].items()
        if key not in LATER_ARGUMENTS or value != LATER_ARGUMENTS[key]
    }
    loss = term.get("loss") or name
    return {**term, "arguments": kept, **version_of_loss(loss), **_code_of("loss", loss)}


def _code_of(kind: str, name: str) -> dict[str, str]:
    """Return what code that is not this project's *is*; nothing of this project's own."""
    entry = find(kind, name)
    return {"code": entry.identity} if entry and entry.identity else {}


def _deciding_model(model: Content) -> Content:
    """Return what decides of a model: files by their content, and code that is not this project's by what it is."""
    arguments = _by_content(model["arguments"])
    if isinstance(file := model["arguments"].get("pretrained"), str):
        arguments = {**arguments, "pretrained": data_identity(file)}
    return {**model, "arguments": arguments, **_code_of("model", model["name"])}


def _by_content(value: Any) -> Any:
    """Return a value (JSON) in which the digest of its content stands for each path of a file."""
    if isinstance(value, Mapping):
        return {key: _by_content(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_by_content(inner) for inner in value]
    return data_identity(os.path.expanduser(value)) if _names_a_file(value) else value


def _named_files(value: Any) -> Iterator[str]:
    """Yield the paths of files in a value (JSON); what an argument for weights names is one, whatever it looks like."""
    if isinstance(value, Mapping):
        yield from (value[key] for key in _WEIGHTS if isinstance(value.get(key), str) and not _names_a_file(value[key]))
    if isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _named_files(inner)
    elif _names_a_file(value):
        yield value


def _names_a_file(value: Any) -> bool:
    """Whether a value is the path of a file that is there; a bare name is a name, whatever lies in this folder."""
    return isinstance(value, str) and os.sep in value and os.path.isfile(os.path.expanduser(value))


def _is_absolute(value: Any) -> bool:
    """Whether a value is an absolute path; others are relative to the data's root, which counts whole."""
    return isinstance(value, str) and os.path.isabs(value)


def _loss_names(settings: Content) -> list[str]:
    """Return the losses of a training's terms, each once."""
    return list(dict.fromkeys(term.get("loss") or name for name, term in settings.get("loss", {}).items()))


def _named_entries(settings: Content, data: Content | None) -> Iterator[tuple[str, Entry]]:
    """Yield kind and entry of every catalogue function that a stage names."""
    names = [("dataset", data["name"])] if data else []
    names += [(kind, settings[kind]["name"]) for kind in _COMPONENTS if isinstance(settings.get(kind), Mapping)]
    names += [("loss", name) for name in _loss_names(settings)]
    if isinstance(own := (settings.get("augment") or {}).get("own"), Mapping):
        names.append(("augmentation", own["name"]))
    for kind, name in names:
        if entry := find(kind, name):
            yield kind, entry
    if "training" in settings:
        yield from _named_entries(settings["training"], None)
