"""Texts with placeholders such as `{seed}`: plain names alone, never attributes, items or formats."""

from __future__ import annotations

import string
from collections.abc import Collection

__all__ = ["check_placeholders", "fill_pattern"]


def check_placeholders(text: str, names: Collection[str]) -> None:
    """Raise if a text has other placeholders than `{name}` for some names.

    Raises:
        ValueError: If it has; the message says which names are valid.
    """
    valid = ", ".join(f"{{{name}}}" for name in names)
    message = f"'{text[:200]}' may contain {valid}, nothing else; a brace that is meant is written twice"
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(message) from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in names or form or conversion):
            raise ValueError(message)


def fill_pattern(text: str, values: dict[str, object]) -> str:
    """Return a text with values for its placeholders.

    Raises:
        ValueError: If it has other placeholders.
    """
    check_placeholders(text, values.keys())
    return text.format(**values)
