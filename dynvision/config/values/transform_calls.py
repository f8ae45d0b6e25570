"""Transforms written as text, `RandomCrop(32, padding=4)`: a name and literals; nothing is evaluated."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

__all__ = ["TransformCall", "TransformText", "parse_call"]

_LONGEST = 1000
_LARGEST = 1e9


@dataclass(frozen=True)
class TransformCall:
    """The name of a transform and its arguments."""

    name: str
    arguments: list[Any]
    named: dict[str, Any]


def parse_call(text: str) -> TransformCall:
    """Read a name, or a name with arguments in brackets.

    Raises:
        ValueError: It is no such text, or an argument is no literal or not finite.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"'{text[:40]}…' has {len(text)} characters, {_LONGEST} at most")
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Name):
            return TransformCall(call.id, [], {})
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("write it as Name(arguments)")
        if any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("write each argument out, without **")
        names = [keyword.arg for keyword in call.keywords]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"'{twice}' is given twice")
        arguments = [ast.literal_eval(argument) for argument in call.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        reason = str(error).split("\n")[0] or "it has too many brackets or signs"
        if "malformed node" in reason:
            reason = "an argument is a number, a text in quotes, True, False, None, or a list of these"
        raise ValueError(f"'{text}' is not a transform: {reason}") from error
    _check_literals(text, [*arguments, *named.values()])
    return TransformCall(call.func.id, arguments, named)


def _check_literals(text: str, values: list[Any]) -> None:
    for value in values:
        if isinstance(value, (list, tuple, set)):
            _check_literals(text, list(value))
        elif isinstance(value, dict):
            _check_literals(text, [*value, *value.values()])
        elif isinstance(value, (bytes, complex)) or value is ...:
            raise ValueError(f"'{text}' is not a transform: {value!r} is no argument of one")
        elif isinstance(value, (int, float)) and not abs(value) <= _LARGEST:
            raise ValueError(f"'{text[:80]}' is not a transform: a number is not finite or above {_LARGEST:g}")


def _check_text(text: str) -> str:
    parse_call(text)
    return text


TransformText = Annotated[str, AfterValidator(_check_text)]
"""A transform of a preset."""
