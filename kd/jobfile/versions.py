"""Declared versions of the code that decides results. Raise one when its change alters what a stage would compute.

They enter the fingerprints, so that a stage trained by older code is not taken for one trained by this code, while a
new docstring or a faster log line retrains nothing.
"""

from __future__ import annotations

# Which layers a stage kind stands on.
LAYERS = {
    "train": ("data", "models", "losses", "train"),
    "distill": ("data", "models", "losses", "train", "distill"),
    "cache": ("data", "models", "distill"),
    "select": ("data", "models", "distill"),
    "export": ("data", "models", "compress"),
    "search": ("data", "models", "losses", "train", "distill", "search"),
    "report": ("report",),
}
VERSIONS = {"data": 1, "models": 1, "losses": 3, "train": 1, "distill": 1, "compress": 1, "search": 1, "report": 1}


def versions_of(kind: str) -> dict[str, int]:
    """Return the declared versions of the layers that a stage kind uses."""
    return {layer: VERSIONS[layer] for layer in LAYERS[kind]}
