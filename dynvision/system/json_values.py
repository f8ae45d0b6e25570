"""Values as JSON keeps them: whether they survive it, whether two of them are the same, and keys that are numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["as_json", "changed_keys", "restore_whole_keys", "same_json", "whole_key_paths", "why_not_json"]

Path = tuple[str, ...]


def as_json(value: Any) -> Any:
    """Return a value as it is when it was written as JSON and read again: tuples are lists, all keys are texts."""
    return json.loads(json.dumps(value))


def same_json(first: Any, second: Any) -> bool:
    """Tell whether two values are the same JSON. A number is the same however it is written: `1` is `1.0`.

    Unlike with Python's `==`, `true` is not `1`, and not-a-number is itself.
    """
    return json.dumps(_respell(as_json(first)), sort_keys=True) == json.dumps(_respell(as_json(second)), sort_keys=True)


def changed_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the keys whose values are not the same JSON in two mappings."""
    keys = [*before, *(key for key in now if key not in before)]
    return [key for key in keys if not same_json(before.get(key), now.get(key))]


def _respell(value: Any) -> Any:
    """Return JSON in which whole numbers have no fraction."""
    if isinstance(value, dict):
        return {key: _respell(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_respell(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def why_not_json(value: Any) -> str | None:
    """Say why a value would not be the same after it was written as JSON and read again; `None` if it would be.

    Mappings may have whole numbers as keys, if all their keys are: see `whole_key_paths`.
    """
    for path, inner in _walk(value):
        where = f"'{'.'.join(path)}' " if path else "it "
        if isinstance(inner, Mapping):
            kinds = {type(key) for key in inner}
            if len(kinds) > 1:
                return f"{where}has keys of several types ({_list(inner)}): quote all of them, or none"
            if kinds - {str, int}:
                return (
                    f"{where}has the key {next(iter(inner))!r}; keys are texts or whole numbers: put quotes around it"
                )
        elif not isinstance(inner, str | int | float | list) and inner is not None:
            return f"{where}is {inner!r}, of the type {type(inner).__name__}; write a text, a number or a list"
    return None


def whole_key_paths(value: Any) -> list[list[str]]:
    """Return the place of each mapping whose keys are whole numbers, as JSON has the keys on the way to it."""
    return [
        list(path)
        for path, inner in _walk(value)
        if isinstance(inner, Mapping) and inner and all(type(key) is int for key in inner)
    ]


def restore_whole_keys(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    """Return JSON with the keys that were whole numbers as numbers again.

    Args:
        value: What `as_json` gave.
        paths: What `whole_key_paths` gave of the same value before.
    """
    return _restore(value, (), {tuple(path) for path in paths})


def _restore(value: Any, here: Path, places: set[Path]) -> Any:
    if isinstance(value, dict):
        inner = {key: _restore(one, (*here, str(key)), places) for key, one in value.items()}
        return {int(key): one for key, one in inner.items()} if here in places else inner
    if isinstance(value, list):
        return [_restore(one, (*here, str(index)), places) for index, one in enumerate(value)]
    return value


def _walk(value: Any, here: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield a value and everything in it, each with its place."""
    yield here, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, (*here, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(inner, (*here, str(index)))


def _list(keys: Mapping[Any, Any]) -> str:
    return ", ".join(repr(key) for key in list(keys)[:4])
