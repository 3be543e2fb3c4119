"""Weights on disk: safetensors files with a card that describes how to rebuild the model.

The card travels inside the file, so a teacher is loaded from its weights alone, wherever they were copied to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kd.catalog import find, load, unknown
from kd.data.modalities import Modalities, one_modality
from kd.errors import CheckpointError
from kd.files import atomic_path
from kd.models.normalisation import NORMALISATION
from kd.models.taps import TAPS, set_taps
from kd.models.widths import Widths, set_widths
from kd.user_code.names import is_allowed

# the card is one entry of the file's metadata: several would be written in an unstable order, and bytes must
# be stable
_CARD_KEY = "kd"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """Which model of the catalogue, with which arguments, for which images.

    ``mean`` and ``std`` of pixels / 255 are what its input is normalised by. ``widths`` are those of the layers
    that pruning made narrower than the catalogue's. ``modalities`` are what it sees of an image; not given, all
    channels are one. With ``multi_label`` its logits are those of one sigmoid per label, else of a softmax.
    """

    name: str
    arguments: Mapping[str, Any]
    classes: tuple[str, ...]
    in_channels: int
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    widths: Widths = field(default_factory=dict)
    modalities: Modalities = ()
    multi_label: bool = False

    @property
    def seen(self) -> Modalities:
        """What the model sees of an image, by name."""
        return self.modalities or one_modality(self.in_channels)

    def build(self) -> nn.Module:
        """Return the model with fresh weights, drawn from torch's global generator.

        Raises SpecError when its arguments do not fit the images, or its taps name no module.
        """
        arguments = {name: value for name, value in self.arguments.items() if name not in (TAPS, NORMALISATION)}
        model = load("model", self.name)(len(self.classes), self.in_channels, self.image_size, **arguments)
        assert isinstance(model, nn.Module)
        if TAPS in self.arguments:
            set_taps(model, self.arguments[TAPS])
        set_widths(model, self.widths)
        return model


def save_weights(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write weights and card atomically. Equal weights and cards give equal bytes."""
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in weights.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={_CARD_KEY: json.dumps(asdict(card), sort_keys=True)})


def load_weights(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Return weights (on the CPU) and card.

    Raises CheckpointError when the file is missing, damaged or not written by ``save_weights``.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    return weights, _read_card(path, metadata)


def load_model(path: Path) -> tuple[nn.Module, ModelCard]:
    """Rebuild a model, on the CPU, from its weights; return it and its card.

    Raises CheckpointError when the file is unusable or its weights do not fit the model it names.
    """
    weights, card = load_weights(path)
    if find("model", card.name) is None:
        raise CheckpointError(f"{path}: {unknown('model', card.name)}")
    own = {name: value for name, value in card.arguments.items() if name != "pretrained"}
    model = replace(card, arguments=own).build()  # trained weights follow: the file it once began from is not needed
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{path}: the weights do not fit {card.name}: {detail:.200}") from error
    return model, card


def named_model(path: Path) -> str:
    """Return the name of the model that a file of weights is of, whether or not its code may be imported.

    Raises CheckpointError as ``load_weights``.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
    return str(_fields(path, metadata).get("name"))


def read_card(path: Path) -> ModelCard:
    """Return the card of a file of weights, without reading these. Raises CheckpointError as ``load_weights``."""
    with _opened(path) as file:
        metadata = file.metadata() or {}
    return _read_card(path, metadata)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file; what cannot be read of it is a CheckpointError."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as weights ({error})") from error


def _read_card(path: Path, metadata: Mapping[str, str]) -> ModelCard:
    card = card_from_json(path, _fields(path, metadata))
    if not is_allowed(card.name):
        raise CheckpointError(f"{path}: its model is {card.name}, code that is imported only where a job file names it")
    return card


def _fields(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        fields = json.loads(metadata[_CARD_KEY])
        return dict(fields)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: carries no model card; only weights saved by kd fit") from error


def card_from_json(path: Path, fields: Any) -> ModelCard:
    """Return the card that the metadata of ``path`` hold. Raises CheckpointError when they are none."""
    try:
        lists = {name: tuple(fields[name]) for name in ("classes", "mean", "std")}
        widths = {name: tuple(sizes) for name, sizes in fields.get("widths", {}).items()}
        modalities = tuple((name, channels) for name, channels in fields.get("modalities", ()))
        return ModelCard(**{**fields, **lists, "widths": widths, "modalities": modalities})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its model card is damaged; only weights saved by kd fit") from error
