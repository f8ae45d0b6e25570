"""One spelling for each number of a presentation: contrasts have a fraction (`1.0`), durations and counts have none.

The spelling of a level is the name of its partition, so `1` for a contrast of `1.0` would be another partition.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal

from dynvision.stimuli.names import canonical_argument
from dynvision.stimuli.noise import Noise
from dynvision.stimuli.presentation import PRESENTATIONS, Presentation

__all__ = ["spell_numbers"]

Kind = Literal["whole", "real"]

_LARGEST = 2**53
"""Whole numbers up to here are the same as floats."""

_SEGMENT_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("void", "image", "repeat", "which"), "whole"),
    **dict.fromkeys(("contrast", "contrast_to"), "real"),
}


def spell_numbers(data_loader: str, data_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a presentation with each number, also each level, in its one spelling.

    Args:
        data_loader: The name of the loader, which says what the settings mean. Of an unknown one nothing is changed.
        data_args: The settings, with lists for those that are swept.
    """
    build = PRESENTATIONS.get(data_loader.removesuffix("DataLoader"))
    if build is None:
        return dict(data_args)
    try:
        return _spell_all(data_args, _kinds_of_loader(build))
    except RecursionError:  # A program that contains itself; the checks of the whole configuration say so.
        return dict(data_args)


def _spell_all(data_args: Mapping[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    placeholders = _placeholder_kinds(data_args.get("program"))
    spelled = {}
    for name, value in data_args.items():
        if name == "program":
            spelled[name] = _spell_program(value)
        else:
            spelled[name] = _spell(
                value, placeholders.get(canonical_argument(name), kinds.get(canonical_argument(name)))
            )
    return spelled


@cache
def _kinds_of_loader(build: Callable[..., Presentation]) -> dict[str, Kind]:
    return {
        **_kinds_of({name: p.annotation for name, p in inspect.signature(build).parameters.items()}),
        **_kinds_of({field.name: field.type for field in dataclasses.fields(Presentation)}),
    }


def _kinds_of(annotations: Mapping[str, Any]) -> dict[str, Kind]:
    """Return what kind of number each annotation means; other annotations are left out."""
    kinds: dict[str, Kind] = {}
    for name, annotation in annotations.items():
        words = str(annotation).replace("|", " ").split()
        if "float" in words:
            kinds[name] = "real"
        elif "int" in words:
            kinds[name] = "whole"
    return kinds


_NOISE_KINDS = _kinds_of({field.name: field.type for field in dataclasses.fields(Noise)})


def _spell(value: Any, kind: Kind | None) -> Any:
    if isinstance(value, list):
        return [_spell(one, kind) for one in value]
    if type(value) is int and kind == "real" and abs(value) <= _LARGEST:
        return float(value)
    if type(value) is float and value == 0:
        value = 0.0  # and not -0.0
    if type(value) is float and kind == "whole" and value.is_integer() and abs(value) <= _LARGEST:
        return int(value)
    return value


def _spell_program(program: Any, kinds: Mapping[str, Kind] = _SEGMENT_KINDS) -> Any:
    """Spell the numbers of a program, of several programs by name, or of one segment."""
    if isinstance(program, list):
        return [_spell_program(entry) for entry in program]
    if not isinstance(program, Mapping):
        return program
    spelled = {}
    for key, value in program.items():
        if isinstance(value, list | Mapping):
            spelled[key] = _spell_program(value, _NOISE_KINDS if key == "noise" else _SEGMENT_KINDS)
        else:
            spelled[key] = _spell(value, kinds.get(key) if isinstance(key, str) else None)
    return spelled


def _placeholder_kinds(program: Any) -> dict[str, Kind]:
    """Return the kind of each placeholder, under its full name, that stands for numbers of one kind only."""
    uses: dict[str, set[Kind | None]] = {}
    for name, kind in _uses(program, _SEGMENT_KINDS):
        uses.setdefault(canonical_argument(name), set()).add(kind)
    return {name: kind for name, found in uses.items() if len(found) == 1 for kind in found if kind is not None}


def _uses(program: Any, kinds: Mapping[str, Kind]) -> Iterator[tuple[str, Kind | None]]:
    """Yield the name of each placeholder, with the kind of number that is expected in its place."""
    if isinstance(program, list):
        for entry in program:
            yield from _uses(entry, _SEGMENT_KINDS)
    elif isinstance(program, Mapping):
        for key, value in program.items():
            if isinstance(value, str) and value.startswith("$"):
                yield value[1:], kinds.get(key) if isinstance(key, str) else None
            else:
                yield from _uses(value, _NOISE_KINDS if key == "noise" else _SEGMENT_KINDS)
