"""The bounds of settings: numbers that a machine can have, and values that JSON can keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from dynvision.system.escaping import show_text

__all__ = [
    "LARGEST_SEED",
    "MOST_IMAGES",
    "MOST_STEPS",
    "Amplitude",
    "BatchSize",
    "Count",
    "KeyText",
    "Pair",
    "PlainSettings",
    "PlainText",
    "Range",
    "Seed",
    "Steps",
    "Threads",
]

LARGEST_SEED = 2**32 - 1
"""Every generator of random numbers takes a seed up to this one."""

MOST_IMAGES = 100_000_000
"""No dataset has more images."""

MOST_STEPS = 1_000_000
"""A trial longer than this is a typing error, for `dynvision.stimuli` too."""

MOST_LEVELS = 10_000
"""Levels of a swept setting, and conditions of an experiment: Dagster shows no more partitions."""

_MOST_BITS = 63
_LONGEST_TEXT = 4096

Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Count = Annotated[int, Field(ge=1, le=MOST_IMAGES)]
Steps = Annotated[int, Field(ge=0, le=MOST_STEPS)]
BatchSize = Annotated[int, Field(ge=1, le=65_536)]
"""Images that are held together: more fit into no memory."""

Threads = Annotated[int, Field(ge=1, le=1024)]
"""Threads of torch; more than there are cores change no number."""

Amplitude = Annotated[float, Field(ge=0, le=1e6)]
"""A standard deviation in units of the standardized image; above it, float32 loses the image."""


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Range = Annotated[tuple[float, float], BeforeValidator(_as_tuple)]
"""Two numbers, which YAML writes as a list."""

Pair = Annotated[tuple[int, int], BeforeValidator(_as_tuple)]

PlainText = Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_TEXT)]
"""A path, an address or a pattern."""

KeyText = Annotated[str, StringConstraints(max_length=_LONGEST_TEXT)]
"""Keys with dots between them; none at all is the whole of what has the keys."""


def _check_plain(settings: dict[str, Any]) -> dict[str, Any]:
    _check_value("", settings, 0)
    return settings


def _check_value(where: str, value: Any, level: int) -> None:
    if level > 40:
        raise ValueError(f"'{where[:60]}…' has too many lists and mappings within each other")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise ValueError(f"{where or 'these settings'}: the key {key!r} is no text; put quotes around it")
            _check_value(f"{where}.{key}" if where else str(key), inner, level + 1)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            if isinstance(inner, (Mapping, list, tuple)) or _problem(inner):
                _check_value(f"{where}[{number}]", inner, level + 1)
    elif problem := _problem(value):
        raise ValueError(f"{show_text(where, 120)}: {problem}")


def _problem(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, int):
        return "a whole number of more than 64 bits" if value.bit_length() > _MOST_BITS else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is no finite number"
    return f"a {type(value).__name__} is no value of JSON: write a text, a number, true, false, a list or a mapping"


PlainSettings = Annotated[dict[str, Any], AfterValidator(_check_plain)]
"""Settings that are passed on: finite numbers, texts, Booleans, lists and mappings, as JSON keeps them."""
