"""What a job file may say of one searched setting: a list of choices, or a range of numbers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue

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
    """One of ``choices``, or a number from ``low`` to ``high``, drawn on a log scale if ``log``."""

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
