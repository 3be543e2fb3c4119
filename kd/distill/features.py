"""Feature taps: intermediate tensors of a model under the names that its class declares.

A model class that can be tapped has ``feature_taps``, a mapping from a name to the module whose output it is.
Losses ask for names; nothing is tapped unless a loss does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kd.errors import SpecError


class FeatureTaps:
    """The outputs of a model's declared modules at its latest forward pass."""

    def __init__(self, model: nn.Module) -> None:
        declared: Mapping[str, str] | None = getattr(model, "feature_taps", None)
        if declared is None:
            raise SpecError([f"{type(model).__name__} declares no feature_taps; losses on features cannot use it"])
        self._latest: dict[str, Tensor] = {}
        self._hooks = [
            model.get_submodule(path).register_forward_hook(self._keeper(name)) for name, path in declared.items()
        ]

    def collect(self) -> dict[str, Tensor]:
        """Return the features of the latest forward pass and let go of them."""
        features, self._latest = self._latest, {}
        return features

    def remove(self) -> None:
        """Take the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    def _keeper(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self._latest[name] = output

        return keep
