"""Columns of a table: what their values are, given texts or what a Parquet file holds."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["read_texts", "read_values"]

_WHOLE = re.compile(r"[-+]?(0|[1-9]\d*)")
"""A whole number; one with leading zeros is a name, as in `007`."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_LEADING_ZERO = re.compile(r"[-+]?0\d")
_BOOLEANS = {"true": True, "false": False}
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})
"""What stands for a missing number; in lower case."""
_LARGEST_INT, _LARGEST_EXACT = (1 << 63) - 1, 1 << 53
"""The largest whole number that a column of whole numbers can hold, and the one up to which floats hold all."""
_MOST_DIGITS = 20
"""The characters of a whole number that may be one of those, with its sign."""
_INFINITE = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf}


def read_texts(texts: Sequence[str], decimal_comma: bool = False) -> list[Any]:
    """Find out what the texts of a column are: all whole numbers, numbers, Booleans, or else texts.

    Where numbers are missing, the others become floats, and those that are missing NaN. Whole numbers with more digits
    than that would keep are names, and stay texts, as do dates.

    Args:
        texts: The values, without blanks around them.
        decimal_comma: Whether numbers may have a comma for their point.
    """
    given = [text for text in texts if text.lower() not in _MISSING]
    if given and all(_WHOLE.fullmatch(text) for text in given):
        whole = _as_numbers([None if text.lower() in _MISSING else text for text in texts])
        return ["" if text.lower() in _MISSING else text for text in texts] if whole is None else whole
    points = [text.replace(",", ".") if decimal_comma else text for text in texts]
    numbers = [_read_number(text) for text in points]
    if given and all(number is not None for number in numbers) and not any(map(_LEADING_ZERO.match, given)):
        return numbers
    if texts and all(text.lower() in _BOOLEANS for text in texts):
        return [_BOOLEANS[text.lower()] for text in texts]
    return list(texts)


def read_values(values: Sequence[Any]) -> list[Any]:
    """Bring the values of a column of a Parquet file to whole numbers, numbers, Booleans or texts.

    Raises:
        ValueError: If they are none of these, as lists are not; the message says what they are.
    """
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, bool) for value in given) and len(given) == len(values):
        return list(values)
    if given and all(type(value) is int for value in given):
        whole = _as_numbers(values)
        return ["" if value is None else str(value) for value in values] if whole is None else whole
    if given and all(type(value) in (int, float) for value in given):
        return [math.nan if value is None else float(value) for value in values]
    return ["" if value is None else _as_text(value) for value in values]


def _as_numbers(values: Sequence[str | int | None]) -> list[Any] | None:
    """Return whole numbers, as floats if one is missing; `None` if they have too many digits to be kept."""
    if any(len(str(value)) > _MOST_DIGITS for value in values):
        return None
    numbers = [None if value is None else int(value) for value in values]
    largest = max(abs(number) for number in numbers if number is not None)
    if None not in numbers:
        return list(numbers) if largest <= _LARGEST_INT else None
    return [math.nan if number is None else float(number) for number in numbers] if largest <= _LARGEST_EXACT else None


def _read_number(text: str) -> float | None:
    if text.lower() in _MISSING:
        return math.nan
    if text.lower() in _INFINITE:
        return _INFINITE[text.lower()]
    return float(text) if _NUMBER.fullmatch(text) else None


def _as_text(value: Any) -> str:
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict, bytes)):
        noun = {list: "lists", dict: "structures", bytes: "bytes"}[type(value)]
        raise ValueError(f"it holds {noun}, and no texts or numbers")
    return str(value).strip()
