"""Knowledge distillation of image models. ``kd.load``, ``kd.predict`` and ``kd.model`` are imported when first used."""


def __getattr__(name: str) -> object:
    """Return one of the functions for notebooks. They need torch, which commands on a login node must not load."""
    if name not in ("load", "predict", "model"):
        raise AttributeError(f"module 'kd' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module("kd.trained.python"), name)
