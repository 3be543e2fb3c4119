"""Feature taps: intermediate tensors of a model under the names that its class declares.

A model class that can be tapped has ``feature_taps``, a mapping from a name to the module whose output it is, and
perhaps ``preactivation_taps``, one from the stages' names to where their maps are before the activation
(``kd.models.backbone.Preactivation``). Losses ask for names; nothing is tapped unless a loss does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from kd.errors import SpecError

BEFORE = "before_"  # begins the name of a stage's map before the activation


class FeatureTaps:
    """The outputs of a model's declared modules at its latest forward pass.

    With ``preactivations`` also ``before_stage1`` ... Raises SpecError when the model does not declare what is asked.
    """

    def __init__(self, model: nn.Module, *, preactivations: bool = False) -> None:
        self._latest: dict[str, Tensor] = {}
        paths: dict[str, str] = dict(_declared(model, "feature_taps"))
        if preactivations:
            before = _declared(model, "preactivation_taps")
            paths |= {f"{BEFORE}{name}": path for name, (path, _) in before.items()}
        self._hooks = [
            model.get_submodule(path).register_forward_hook(self._keeper(name)) for name, path in paths.items()
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
            # the activation that follows a map before it works in place
            self._latest[name] = output.clone() if name.startswith(BEFORE) else output

        return keep


def norms_before_activation(model: nn.Module) -> list[tuple[Tensor, Tensor] | None]:
    """Return scales and offsets [channels] of the last batch norm before each stage's activation, None without one."""
    norms = [norm and model.get_submodule(norm) for _, norm in _declared(model, "preactivation_taps").values()]
    return [(norm.weight.detach(), norm.bias.detach()) if isinstance(norm, nn.BatchNorm2d) else None for norm in norms]


def _declared(model: nn.Module, attribute: str) -> Mapping[str, Any]:
    declared: Mapping[str, Any] | None = getattr(model, attribute, None)
    if declared is None:
        raise SpecError([f"{type(model).__name__} declares no {attribute}; losses on features cannot use it"])
    return declared
