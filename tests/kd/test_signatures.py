"""Foreign annotations and defaults in the words of a job file."""

from __future__ import annotations

import ast

import pytest

from kd.signatures import REQUIRED, UNSET, Argument, read_signature, translated


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", "int"),
        ("Optional[float]", "float | None"),
        ("typing.Optional[int]", "int | None"),
        ("Union[int, Tuple[int, int]]", "int | list[int]"),
        ("int | str", "int | str"),
        ("'int'", "int"),
        ("List[Union[int, str]]", "list[int | str]"),
        ("tuple[int, ...]", "list[int]"),
        ("list", "list[Any]"),
        ("Literal['a', 'b']", "Literal['a', 'b']"),
        ("Optional[Union[str, Callable]]", "str | None"),
        ("Any", "Any"),
        ("Callable[..., nn.Module]", None),
        ("Optional[Type[nn.Module]]", None),
        ("List[nn.Module]", None),
    ],
)
def test_annotations_are_translated_or_not_offered(annotation: str, words: str | None) -> None:
    tree = ast.parse(annotation, mode="eval").body
    said = translated(tree)
    assert (said and said.replace("(", "").replace(")", "")) == words


def function(source: str) -> ast.FunctionDef:
    (found,) = ast.parse(source).body
    assert isinstance(found, ast.FunctionDef)
    return found


def test_parameters_without_annotations_take_what_their_default_is_like() -> None:
    read = read_signature(function("def f(a, b=2, c=0.5, d=True, e='x', f=(1, 2), g=None, h=len): ..."), supply=())
    words = {name: argument.annotation for name, argument in read.arguments.items()}
    assert words == {
        "a": "Any", "b": "int | float", "c": "float", "d": "bool", "e": "str", "f": "list[Any]", "g": "Any", "h": "Any"
    }  # fmt: skip
    assert {name for name, argument in read.arguments.items() if argument.default is REQUIRED} == {"a"}
    assert read.arguments["b"].default is UNSET


def test_what_the_caller_supplies_is_no_argument_and_self_is_none() -> None:
    source = "def __init__(self, num_classes, depth: int, block: Callable = None, *, in_channels=3, **further): ..."
    read = read_signature(function(source), supply=("num_classes", "in_channels", "image_size"), method=True)
    assert read.supplied == ("num_classes", "in_channels")
    assert read.arguments == {"depth": Argument(annotation="int", default=REQUIRED)}
    assert read.further == ("block",)
    assert read.open_ended
