"""The values of plain YAML scalars, as the core schema of YAML 1.2 has them: `yes` and `1:30` are texts."""

from __future__ import annotations

import math
import re

from dynvision.system.escaping import show_text

__all__ = ["CONSTANTS", "LARGEST_WHOLE_NUMBER", "resolve_scalar", "resolve_tagged", "scalar_problem"]

LARGEST_WHOLE_NUMBER = 2**63 - 1
"""Whole numbers have 64 bits, as those of NumPy, torch and Dagster do."""

CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The plain scalars that are neither texts nor numbers."""

_TYPES = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}
_FIRST = frozenset("0123456789+-.tTfFnN~")
"""The characters with which anything but a text begins."""

_WHOLE = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?")
_UNREADABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters and halves of characters, which escapes in double quotes can write."""


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar.

    Args:
        text: The scalar, without quotes around it.

    Raises:
        ValueError: It is a number that two versions of YAML read differently, that is not finite or has more than 64
            bits. The message says what to write instead.
    """
    if text and text[0] not in _FIRST:
        return text
    if text.isascii() and text.isdigit() and len(text) < 19 and (text[0] != "0" or text == "0"):
        return int(text)
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text[0].isalpha():
        return text
    if _LEADING_ZERO.fullmatch(text):
        raise ValueError(_explain_leading_zero(text))
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is no finite number; write a number, or '{text}' in quotes if it is text")
    if _WHOLE.fullmatch(text):
        return _whole(text)
    if _REAL.fullmatch(text):
        return _real(text)
    return text


def resolve_tagged(tag: str, text: str) -> str | int | float | bool | None:
    """Return the value of a scalar with a tag such as `!!str`.

    Raises:
        ValueError: The tag is none of the core schema, or the text is no such value.
    """
    name = tag.removeprefix("tag:yaml.org,2002:")
    if name not in _TYPES:
        raise ValueError(f"the tag '{show_text(tag, 60)}' has no meaning here; write the value alone")
    if name == "str":
        return text
    value = resolve_scalar(text)
    if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and name != "bool"):
        raise ValueError(f"'{show_text(text, 60)}' is no {name}; take out the tag '!!{name}'")
    return float(value) if name == "float" and value is not None else value


def scalar_problem(text: str) -> str | None:
    """Return what is wrong with the characters of a text; `None` if nothing is."""
    found = _UNREADABLE.search(text)
    return None if found is None else f"a text holds the control character {show_text(found[0])}; take it out"


def _whole(text: str) -> int:
    short = text if len(text) <= 40 else f"{text[:12]}… ({len(text)} digits)"
    value = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10)) if len(text) <= 40 else None
    if value is None or not -LARGEST_WHOLE_NUMBER <= value <= LARGEST_WHOLE_NUMBER:
        raise ValueError(
            f"{short} has more than 64 bits; write a smaller number, or put quotes around it if it is text"
        )
    return value


def _real(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is too large for a number; put quotes around it if it is text")
    return value


def _explain_leading_zero(text: str) -> str:
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text.lstrip("+"))
    plain = sign + (digits.lstrip("0") if digits.lstrip("0")[:1].isdigit() else "0" + digits.lstrip("0"))
    readings = "versions of YAML may read it differently"
    if re.fullmatch(r"[0-9]+", digits) and 0 < len(digits.lstrip("0")) < 20:
        is_octal = not set(digits) & set("89")
        old = f"{sign}{int(digits, 8)}" if is_octal else f"the text '{sign}{digits}'"
        if old != f"{sign}{int(digits)}":
            readings = f"YAML 1.1 reads {old}, YAML 1.2 reads {sign}{int(digits)}"
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return f"{shown} begins with a zero: {readings}. Write {plain[:40]}, or '{shown}' in quotes if it is text"
