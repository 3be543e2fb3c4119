"""A file of trained weights into a network: names matched, shapes compared, and every difference told.

Nothing is replaced without a word. What was taken, adapted or drawn anew is the network's ``started_from``, which
result.json repeats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from kd.errors import CheckpointError, shown
from kd.models.backbone import Backbone, Parts
from kd.models.foreign_names import renamed
from kd.models.weight_files import read_foreign_weights, shortened

Classifier = Literal["kept", "new"]
Adopt = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
_COUNTER = "num_batches_tracked"  # of batch norms; files older than torch 0.4.1 have none, and nothing here reads it


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What a network took from a file.

    ``place`` are the keys that led to the weights, ``prefix`` what was taken off their names, ``names`` the code base
    that calls them otherwise. ``left_out`` names tensors of other heads.
    """

    file: str
    place: tuple[str, ...]
    prefix: str
    names: str
    classifier: Classifier
    first_convolution: Literal["kept", "adapted"]
    left_out: tuple[str, ...]

    @property
    def adapted(self) -> bool:
        """Whether the first convolution is not the file's."""
        return self.first_convolution == "adapted"

    def facts(self) -> dict[str, object]:
        """Return what a result tells of it: the file, the classifier, and of the rest what there is to tell."""
        always = ("file", "classifier", "first_convolution")
        return {name: value for name, value in asdict(self).items() if name in always or value}


def load_trained(
    network: nn.Module,
    path: Path,
    *,
    parts: Parts | None = None,
    classifier: Classifier = "kept",
    adapt: bool = False,
    adopt: Adopt | None = None,
) -> Loaded:
    """Load the weights that a file holds (see ``kd.models.weight_files``) into a network.

    With ``classifier="new"`` the file's may be missing or of other classes: the network then keeps the one it was built
    with. ``adapt`` fits the first convolution to other channels and a smaller kernel. ``parts`` say where both are (a
    Backbone knows its own), ``adopt`` returns weights under the network's own names and in its sizes. Raises
    CheckpointError, with what was found and expected, when the file is unusable or of another network.
    """
    backbone = network if isinstance(network, Backbone) else None
    parts = parts or (backbone.parts if backbone else find_parts(network))
    own = network.state_dict()
    read = read_foreign_weights(path)
    inner = backbone.inner if backbone else ""
    matched = renamed(read.tensors, [name.removeprefix(inner) for name in own], inner=inner)
    weights = (adopt or (backbone.adopt if backbone else dict))(matched.weights)
    drawn = classifier == "new" and _draw_classifier(weights, own, parts.classifier)
    adapted_first = adapt and _adapt_first(weights, own, f"{parts.first_convolution}.weight")
    left_out = _leave_out(weights, own, parts.classifier) if drawn else []
    if fault := _fault(weights, own, parts.classifier):
        raise CheckpointError(f"{path}: {fault}")
    network.load_state_dict({name: weights.get(name, own[name]) for name in own})
    loaded = Loaded(
        file=str(path),
        place=read.place,
        prefix=matched.prefix,
        names=matched.source,
        classifier="new" if drawn else "kept",
        first_convolution="adapted" if adapted_first else "kept",
        left_out=tuple(left_out),
    )
    network.started_from = loaded.facts()  # type: ignore[assignment]  # modules take attributes of any type
    return loaded


def find_parts(network: nn.Module, classes: int | None = None) -> Parts:
    """Return the parts of any network: its first convolution, and its last layer (with ``classes`` outputs).

    Layers are taken in the order in which the network declares them. What is not there has an empty path.
    """
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    first = next((name for name, layer in layers if isinstance(layer, nn.Conv2d)), "")
    last = next((name for name, layer in reversed(layers) if classes in (None, len(layer.weight))), "")
    return Parts(first_convolution=first, stem=(first,) if first else (), classifier=last)


def adapted(kernel: Tensor, *, channels: int, size: int) -> Tensor:
    """Return the middle of a kernel [out, in, k, k] for other channels, so that grey images give what they gave."""
    margin = max(0, (kernel.shape[-1] - size) // 2)
    kernel = kernel[:, :, margin : margin + size, margin : margin + size]
    if kernel.shape[1] == channels:
        return kernel
    return kernel.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels


def _draw_classifier(weights: dict[str, Tensor], own: Mapping[str, Tensor], classifier: str) -> bool:
    """Put the network's own classifier in the place of a missing or different one; return whether that was needed."""
    names = [name for name in own if name.startswith(f"{classifier}.")]
    if all(name in weights and weights[name].shape == own[name].shape for name in names):
        return False
    for name in [name for name in weights if name.startswith(f"{classifier}.")]:
        del weights[name]
    weights |= {name: own[name] for name in names}
    return True


def _adapt_first(weights: dict[str, Tensor], own: Mapping[str, Tensor], first: str) -> bool:
    if first not in weights or first not in own or weights[first].shape == own[first].shape:
        return False
    weights[first] = adapted(weights[first], channels=own[first].shape[1], size=own[first].shape[-1])
    return True


def _leave_out(weights: dict[str, Tensor], own: Mapping[str, Tensor], classifier: str) -> list[str]:
    """Take out the tensors of heads that the network has not, and return their names; its body has to fit whole."""
    body = {name.partition(".")[0] for name in own if not name.startswith(f"{classifier}.")}
    others = [name for name in weights if name not in own and name.partition(".")[0] not in body]
    for name in others:
        del weights[name]
    return others


def _fault(weights: Mapping[str, Tensor], own: Mapping[str, Tensor], classifier: str) -> str | None:
    """Return how the weights differ from those that the network has, or None."""
    missing = [name for name in own if name not in weights and not name.endswith(_COUNTER)]
    unknown = [name for name in weights if name not in own]
    unequal = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    head = tuple(f"{classifier}.{name}" for name in ("weight", "bias"))
    if head[0] in unequal and set(unequal) <= set(head) and not missing and not unknown:
        return (
            f"its classifier ({classifier}) is of {len(weights[head[0]])} classes, and there are {len(own[head[0]])}; "
            "'classifier: new' draws one, which is to be trained"
        )
    if set(missing) == set(head) and not unequal and not unknown:
        return f"it has no classifier ({classifier}); 'classifier: new' draws one, which is to be trained"
    if missing or unknown:
        return _other_network(weights, own, missing, unknown)
    if unequal:
        name = unequal[0]
        theirs, ours = list(weights[name].shape), list(own[name].shape)
        more = f", and so {len(unequal) - 1} more" if len(unequal) > 1 else ""
        return f"these weights are of another network: {name} is {theirs} there and {ours} here{more}"
    return None


def _other_network(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], missing: list[str], unknown: list[str]
) -> str:
    fitting = _fitting_prefixes(weights, own)
    if len(fitting) == 1 and all(name.startswith(fitting[0]) for name in weights):
        return (
            f"all its names begin with {shown(fitting[0])} and fit without it; save the state_dict of that inner module"
        )
    if fitting:
        where = " and ".join(shown(prefix) for prefix in fitting)
        return f"it holds more than one network; this one's names stand below {where}; save the state_dict of one alone"
    known = [name for name in own if not name.endswith(_COUNTER)]
    extra = f"; unknown: {shortened(unknown)}" if unknown else ""
    fit = f"{len(known) - len(missing)} of its {len(known)} tensors are there"
    lacks = f"; missing: {shortened(missing)}" if missing else ""
    remedy = "" if missing else "; if those are no layers, save the weights without them"
    return f"these weights are of another network: {fit}{lacks}{extra}{remedy}"


def _fitting_prefixes(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """Return the prefixes below which most names of the network stand, sorted: wrappers, or several networks."""
    parted = (name.split(".") for name in weights)
    splits = ((".".join(parts[:n]) + ".", ".".join(parts[n:])) for parts in parted for n in range(1, len(parts)))
    counts = Counter(prefix for prefix, inner in splits if inner in own)
    return sorted(prefix for prefix, count in counts.items() if count > len(own) // 2)
