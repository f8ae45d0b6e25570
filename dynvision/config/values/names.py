"""Names in the configuration, and `Section`, of which every part of it is one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from dynvision.system.escaping import show_text

__all__ = [
    "IMPORT_PATTERN",
    "LONGEST_NAME",
    "ImportPath",
    "LongName",
    "Name",
    "Section",
    "check_distinct",
    "check_name",
    "dagster_name",
    "repeats",
]


_Value = TypeVar("_Value")

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"
LONGEST_NAME = 63
"""Dagster's tags hold no more, and one tag that is too long makes the whole graph unloadable."""

_LONGEST_PRESET = 127


def check_name(value: object, longest: int = LONGEST_NAME) -> str:
    """Return a name as text.

    Args:
        value: What YAML read: a text, or a number that is meant as one.
        longest: How many characters it may have.

    Raises:
        ValueError: If it could not be the name of a folder; the message says why.
    """
    if value is None or isinstance(value, bool):
        raise ValueError(
            f"YAML reads a name here as {value}, not as text: put quotes around it, as in 'null' or 'true'"
        )
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"a name is a text here, not a {type(value).__name__}")
    text = str(value)
    if not re.fullmatch(NAME_PATTERN, text):
        raise ValueError(
            f"the name '{show_text(text, 80)}' becomes a folder: use letters, digits, '_' and '-', and begin with a "
            "letter or digit"
        )
    if len(text) > longest:
        raise ValueError(f"the name '{text[:20]}…' has {len(text)} characters; {longest} at most")
    return text


def _check_long_name(value: object) -> str:
    return check_name(value, _LONGEST_PRESET)


Name = Annotated[str, BeforeValidator(check_name)]
"""A name that becomes a folder and a tag in Dagster, and so must not lead out of the data root."""

LongName = Annotated[str, BeforeValidator(_check_long_name)]
"""The name of a preset, which may be made of two names; it becomes neither folder nor tag."""

IMPORT_PATTERN = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"

ImportPath = Annotated[str, StringConstraints(pattern=IMPORT_PATTERN, max_length=255)]
"""The import path of a class or function, written `module:Name`."""


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors, no value becomes another type, and none can be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, strict=True, allow_inf_nan=False)


def repeats(values: Iterable[_Value]) -> list[_Value]:
    """Return the values that occur more than once, each once, in order."""
    return [value for value, count in Counter(values).items() if count > 1]


def dagster_name(*names: str) -> str:
    """Return the name that Dagster gives to the asset of several names, which has no `-` and no `/`."""
    return "__".join(names).replace("-", "_")


def check_distinct(noun: str, names: Iterable[tuple[str, ...]]) -> None:
    """Raise if two names become one: in Dagster, or where capital letters make no difference to file names.

    Args:
        noun: What the names stand for, for the message.
        names: Names, or pairs of them that together stand for one thing.

    Raises:
        ValueError: If two are the same; the message names both.
    """
    seen: dict[str, tuple[str, ...]] = {}
    for parts in names:
        other = seen.setdefault(dagster_name(*parts).lower(), parts)
        if other != parts:
            raise ValueError(
                f"the {noun} '{'/'.join(other)}' and '{'/'.join(parts)}' become one name in Dagster or one folder, "
                "where '-' is '_' and capital letters make no difference; rename one of them"
            )
