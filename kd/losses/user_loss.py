"""A loss of the user's own, imported in the job: a function of what it names of a batch, or a class called with it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from kd.errors import SpecError, shown
from kd.losses.inputs import INPUTS
from kd.user_code.definitions import UserEntry, read_entry
from kd.user_code.importing import import_entry, users_errors


class UserLoss(nn.Module):
    """A loss of the user's. Called with its ``inputs``, in their order, it gives a scalar.

    Where it is itself a module, its parameters are trained beside the student.
    """

    def __init__(self, entry: UserEntry, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.inputs, self._entry, self._arguments = entry.called_with, entry, {} if entry.is_class else arguments
        function = import_entry(entry.module, entry.attribute)
        if entry.is_class:
            with users_errors(entry.name, entry.module):
                function = function(**arguments)
        self.function = function

    def forward(self, *given: Any) -> Tensor:
        """Return the loss. Raises SpecError, with the place, when it is no scalar."""
        named = dict(zip(self.inputs, map(_in_full, given), strict=True))
        with users_errors(self._entry.name, self._entry.module):
            loss = self.function(**named, **self._arguments)
        if not isinstance(loss, Tensor) or loss.ndim:
            gives = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else shown(loss)
            place = f"{self._entry.source.place}:{self._entry.line}"
            raise SpecError([f"{place}: {self._entry.name} gives {gives}; one number is expected, such as a mean"])
        return loss


def _in_full(value: Any) -> Any:
    """Return what a batch gives in float32: networks may run in fewer bits, losses do not."""
    if isinstance(value, list):
        return [_in_full(each) for each in value]
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def user_loss(*, module: str, attribute: str, **arguments: Any) -> UserLoss:
    """Import ``module`` and return its ``attribute`` as a loss.

    Raises SpecError, with the line of the user's file, when it cannot be imported or made.
    """
    return UserLoss(read_entry("loss", module, attribute, batch=INPUTS), arguments)
