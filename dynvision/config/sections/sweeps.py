"""Sweeps: the levels of a setting, and the placeholders of a program whose values are swept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynvision.errors import nearest_name
from dynvision.keys import level_text

__all__ = ["fill_placeholders", "find_placeholders", "levels_of", "values_of"]


def levels_of(value: list[Any] | Mapping[str, Any]) -> list[str]:
    """Return the levels of a swept setting as text: the values of a list, or the names of a mapping."""
    return [level_text(level) for level in value]


def values_of(value: list[Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each level: that of a list that is written so, or the named one of a mapping."""
    chosen = value.values() if isinstance(value, Mapping) else value
    return dict(zip(levels_of(value), chosen, strict=True))


def find_placeholders(program: Any) -> Iterator[str]:
    """Yield the names of a program's placeholders: `name` for each `$name`."""
    if isinstance(program, str) and program.startswith("$"):
        yield program[1:]
    elif isinstance(program, Mapping):
        for value in program.values():
            yield from find_placeholders(value)
    elif isinstance(program, list):
        for value in program:
            yield from find_placeholders(value)


def fill_placeholders(program: Any, values: Mapping[str, Any]) -> Any:
    """Return a program with values for its placeholders: `{void: $gap}` with `gap: 10` becomes `{void: 10}`.

    Raises:
        ValueError: If a placeholder has no value; the message names the nearest setting.
    """
    if isinstance(program, str) and program.startswith("$"):
        if program[1:] not in values:
            raise ValueError(
                f"the program's '{program}' has no value in data_args. {nearest_name(program[1:], values)}"
            )
        return values[program[1:]]
    if isinstance(program, Mapping):
        return {key: fill_placeholders(value, values) for key, value in program.items()}
    if isinstance(program, list):
        return [fill_placeholders(value, values) for value in program]
    return program
