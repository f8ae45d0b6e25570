"""Sweeps: the levels of a setting, and programs whose durations and contrasts are swept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dynvision.errors import nearest_name
from dynvision.keys import level_text

__all__ = ["fill_places", "find_places", "levels_of", "pick_level"]


def levels_of(value: list[Any] | Mapping[str, Any]) -> list[str]:
    """The levels of a swept setting: those of a list, or the names of a mapping."""
    return [level_text(level) for level in value]


def pick_level(value: list[Any] | Mapping[str, Any], level: str) -> Any:
    """The value that a level means."""
    if isinstance(value, Mapping):
        return next(chosen for name, chosen in value.items() if level_text(name) == level)
    return next(v for v in value if level_text(v) == level)


def find_places(program: Any) -> Iterator[str]:
    """The names of a program's places, `$name`, which the settings of that name fill."""
    if isinstance(program, str) and program.startswith("$"):
        yield program[1:]
    elif isinstance(program, Mapping):
        for value in program.values():
            yield from find_places(value)
    elif isinstance(program, list):
        for value in program:
            yield from find_places(value)


def fill_places(program: Any, values: Mapping[str, Any]) -> Any:
    """Put values in a program's places: `{void: $gap}` with `gap: 10` is `{void: 10}`.

    Raises:
        ValueError: A place has no value; the message names the nearest.
    """
    if isinstance(program, str) and program.startswith("$"):
        if program[1:] not in values:
            raise ValueError(
                f"the program's '{program}' has no value in data_args. {nearest_name(program[1:], values)}"
            )
        return values[program[1:]]
    if isinstance(program, Mapping):
        return {key: fill_places(value, values) for key, value in program.items()}
    if isinstance(program, list):
        return [fill_places(value, values) for value in program]
    return program
