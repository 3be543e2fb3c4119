"""docs/training.md explains every key of a training stage, with its true default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from annotated_types import BaseMetadata
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from kd.jobfile.kinds.distill import DistillStage
from kd.jobfile.kinds.train import TrainStage
from kd.jobfile.schema import Attack, Augment, Draw, EarlyStopping, Ema, MixingOptions, Resources
from kd.jobfile.source import parse_value

PAGE = Path(__file__).resolve().parents[3] / "docs/training.md"
PARTS: tuple[type[BaseModel], ...] = (Augment, Resources, Ema, MixingOptions, EarlyStopping, Attack, Draw)


def explained() -> list[tuple[str, str]]:
    """Return key and default of every row of the page's tables."""
    return re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)


def default_of(field: FieldInfo, text: str) -> Any:
    """Return the value that a written default means for a key."""
    if text == "required":
        return ...
    # without the limits: 0 may mean "off" where only 4 or more can be given
    further = [each for each in field.metadata if not isinstance(each, BaseMetadata)]
    annotation: Any = Annotated[(field.annotation, *further)] if further else field.annotation
    return TypeAdapter(annotation).validate_python(parse_value(text.strip("`")))


def fields() -> list[tuple[str, FieldInfo]]:
    own = {name: field for name, field in DistillStage.model_fields.items() if name not in TrainStage.model_fields}
    parts = [item for part in PARTS for item in part.model_fields.items()]
    return [*TrainStage.model_fields.items(), *own.items(), *parts]


@pytest.mark.parametrize(("name", "field"), fields(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_key_is_explained_with_its_true_default(name: str, field: FieldInfo) -> None:
    rows = dict(explained())
    assert name in rows, f"docs/training.md does not explain {name}"
    assert default_of(field, rows[name]) == (... if field.is_required() else field.default)


def test_nothing_else_is_explained_and_nothing_twice() -> None:
    assert sorted(key for key, _ in explained()) == sorted(name for name, _ in fields())
