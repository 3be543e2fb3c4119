"""What a search may set of a training, and within which bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue

from kd import catalog
from kd.arguments import RANGES, alternatives, argument_fault, element_of, normalised, parse_annotation
from kd.errors import did_you_mean, shown
from kd.jobfile.kinds.train import HINTON, TrainStage
from kd.jobfile.source import Address
from kd.jobfile.stage import Fault
from kd.rundir.stage_spec import AxisSettings

_WEIGHT = "NonNegativeFloat"
_SHARED_WEIGHT = "Fraction"  # where another term takes the rest of 1

Bound = Annotated[float, Field(allow_inf_nan=False)]
_JSON_SCHEMA = {
    "anyOf": [
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": ["number", "string", "boolean"]}},
        {
            "type": "object",
            "properties": {"low": {"type": "number"}, "high": {"type": "number"}, "log": {"type": "boolean"}},
            "required": ["low", "high"],
            "additionalProperties": False,
        },
    ]
}


class Axis(BaseModel):
    """One searched setting: one of ``choices``, or a number from ``low`` to ``high``, on a log scale if ``log``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    choices: list[Any] | None = None
    low: Bound = 0.0
    high: Bound = 0.0
    log: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, list) and value:
            return {"choices": value}
        if isinstance(value, dict) and {"low", "high"} <= value.keys() and "choices" not in value:
            return value
        raise ValueError("expected a list of choices, or a range as in {low: 0.01, high: 0.1, log: true}")

    @model_serializer
    def _as_written(self) -> Any:
        return {"low": self.low, "high": self.high, "log": self.log} if self.choices is None else self.choices

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return _JSON_SCHEMA


def searchable(training: TrainStage) -> dict[str, str]:
    """Return dotted key -> annotation of every setting of a training that may be searched.

    These are the weights of its losses and the arguments of what it names in the catalogue, except lists. Nothing of
    its model, its data and its augmentation: all trials compare the same student on the same task.
    """
    components = training.searched_components()
    found: dict[str, str] = {}
    for kind, component in components.items():
        found |= _arguments(kind, component.name, kind)
    for name, loss, term in training.terms():
        own = _arguments("loss", loss, f"loss.{name}", term.arguments)
        if "temperature" in components:  # it replaces those of the losses
            own.pop(f"loss.{name}.temperature", None)
        found |= {f"loss.{name}.weight": _SHARED_WEIGHT if training.weights_share_one else _WEIGHT, **own}
    return found


def partner_of(training: TrainStage, key: str) -> str | None:
    """Return the weight that takes the rest of 1 when ``key`` is set, or None."""
    if not training.weights_share_one or not is_weight(key):
        return None
    ce, kd = (f"loss.{term}.weight" for term in HINTON)
    return kd if key == ce else ce


def is_weight(key: str) -> bool:
    """Whether a dotted key is one of the two weights that are expected to sum to 1."""
    return key in [f"loss.{term}.weight" for term in HINTON]


def axis_settings(training: TrainStage, key: str, axis: Axis) -> AxisSettings:
    """Return an axis for spec.json, with the weight that takes the rest of 1 where there is one."""
    annotation, partner = searchable(training)[key], partner_of(training, key)
    if axis.choices is not None:
        return AxisSettings(choices=[normalised(annotation, choice) for choice in axis.choices], partner=partner)
    whole = bool(_is_whole(annotation))
    return AxisSettings(low=axis.low, high=axis.high, log=axis.log, whole=whole, partner=partner)


def space_faults(name: str, training: TrainStage, space: Mapping[str, Axis], address: Address) -> Iterator[Fault]:
    """Yield what a search may not set of the training, which is called ``name``, or not within these bounds."""
    known = searchable(training)
    for key, axis in space.items():
        where = (*address, key)
        if key not in known:
            yield where, f"stage '{name}' has no setting '{key}' to search{did_you_mean(key, list(known))}"
        elif axis.choices is None:
            yield from _range_faults(axis, known[key], where)
        else:
            yield from _choice_faults(axis.choices, known[key], where)
    weights = [key for key in space if partner_of(training, key)]
    if len(weights) > 1:
        message = f"the rest of '{weights[0]}' to 1: search one of them (or set 'free_weights: true')"
        yield (*address, weights[1]), message


def _range_faults(axis: Axis, annotation: str, address: Address) -> Iterator[Fault]:
    whole = _is_whole(annotation)
    if whole is None:
        yield address, f"{address[-1]} takes no range; list its choices"
        return
    for bound in ("low", "high"):
        value = getattr(axis, bound)
        if fault := argument_fault(annotation, int(value) if whole and value.is_integer() else value):
            yield (*address, bound), f"{bound}: {fault[1]}"
    if axis.low >= axis.high:
        yield (*address, "low"), f"low must be less than high, got {axis.low:g} and {axis.high:g}"
    if axis.log and axis.low <= 0:
        yield (*address, "low"), f"a log scale begins above 0, got {axis.low:g}"


def _choice_faults(choices: list[Any], annotation: str, address: Address) -> Iterator[Fault]:
    for index, choice in enumerate(choices):
        if fault := argument_fault(annotation, choice):
            yield (*address, index), f"{address[-1]}: {fault[1]}"
        elif choice in choices[:index]:
            yield (*address, index), f"{shown(choice)} is given twice"


def _arguments(kind: str, name: str, prefix: str, given: Collection[str] = ()) -> dict[str, str]:
    """Return dotted key -> annotation of the arguments of a catalogue entry; nothing for an unknown one.

    Of the user's own code those count that are ``given``: only the code itself knows the others' values.
    """
    entry = catalog.find(kind, name)
    return {
        f"{prefix}.{key}": argument.annotation
        for key, argument in (entry.arguments if entry else {}).items()
        if (entry is None or entry.identity is None or key in given)
        and element_of(parse_annotation(argument.annotation)) is None
    }


def _is_whole(annotation: str) -> bool | None:
    """Whether an annotation takes whole numbers only; None where it takes no numbers."""
    names = [getattr(choice, "id", "") for choice in alternatives(parse_annotation(annotation))]
    ranges = [RANGES[name] for name in names if name in RANGES]
    return all(allowed.whole for allowed in ranges) if ranges else None
