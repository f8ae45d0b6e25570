"""What is wrong with a configuration, in sentences: file, key, what was given, and what to write."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dynvision.config.sections.compute import LINE, WORD
from dynvision.config.sections.data import CHECKSUM, OWNER
from dynvision.config.values.names import IMPORT_PATTERN
from dynvision.errors import nearest_name
from dynvision.system.escaping import show_text

__all__ = ["explain_problems", "first_problem"]

_MOST_SHOWN = 10
_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "finite_number": "a finite number",
    "invalid_key": "a text as key",
}
"""What is needed, by pydantic's name for a problem."""

_PATTERNS = {
    IMPORT_PATTERN: "the path of a class, written module:Name",
    OWNER: "an owner: write team:<name> or an e-mail address",
    WORD: "one word without spaces, quotes and characters of the shell",
    LINE: "one line",
    CHECKSUM: "an MD5 checksum of 32 digits and letters a to f",
}

_NO_KEY = re.compile(r"(literal|tuple|list|dict|nullable|constrained-\w+|function-\w+)?\[.*\]", re.DOTALL)
"""The parts of a place that pydantic adds to keys: which type of several it tried."""


def explain_problems(path: Path, error: ValidationError, schema: type[BaseModel]) -> str:
    """Say what is wrong in a file, one line for each place.

    Args:
        path: The file.
        error: What pydantic found.
        schema: The schema of the file.
    """
    lines: dict[str, list[str]] = {}
    problems = error.errors(include_url=False)
    unknown = [_keys_of(problem) for problem in problems if problem["type"] == "extra_forbidden"]
    for problem in problems:
        keys = _keys_of(problem)
        beside = [str(other[-1]) for other in unknown if other[:-1] == keys[:-1]]
        if problem["type"] == "missing" and difflib.get_close_matches(str(keys[-1]), beside):
            continue  # It is there, misspelt: the line about the unknown key names it.
        if problem["type"] == "extra_forbidden":
            message = f"unknown key. {nearest_name(keys[-1], _keys_at(schema, keys[:-1]))}"
        else:
            message = _sentence(problem)
        place = show_text(".".join(str(part) for part in keys), 300)
        lines.setdefault(f"{path}: {place}" if place else str(path), []).append(message)
        if len(lines) > _MOST_SHOWN:
            break
    shown = [f"{place}: {' or '.join(dict.fromkeys(messages))}" for place, messages in lines.items()]
    more = error.error_count() - _MOST_SHOWN
    return "\n".join(shown if len(shown) <= _MOST_SHOWN else [*shown[:-1], f"{path}: about {more} more like these"])


def first_problem(error: ValidationError) -> str:
    """Return the first problem that pydantic found, with its key."""
    problem = error.errors(include_url=False)[0]
    keys = [str(part) for part in _keys_of(problem)]
    sentence = _sentence(problem)
    return f"{'.'.join(keys)}: {sentence}" if keys and keys[0] not in sentence else sentence


def _keys_of(problem: ErrorDetails) -> list[Any]:
    """Return the keys to the place of a problem. Those in `loc` that pydantic added are left out."""
    *before, last = problem["loc"] or (None,)
    keys = [part for part in before if not (isinstance(part, str) and _NO_KEY.fullmatch(part))]
    if last is None or (isinstance(last, str) and problem["type"] != "extra_forbidden" and _NO_KEY.fullmatch(last)):
        return keys
    return [*keys, last]


def _sentence(problem: ErrorDetails) -> str:
    message, given = problem["msg"].removeprefix("Value error, "), problem.get("input")
    if problem["type"] in _WANTED:
        wanted = _WANTED[problem["type"]]
        verb = "are" if wanted == _WANTED["dict_type"] else "is"
        return f"{wanted} {verb} needed, not {_describe(given)}{_advice(problem['type'], given)}"
    if problem["type"] == "string_pattern_mismatch":
        return f"{_describe(given)} is not {_PATTERNS.get(problem['ctx']['pattern'], 'valid here')}"
    if problem["type"] == "missing":
        return "this key is missing"
    if problem["type"] in ("literal_error", "enum"):
        return f"{message.replace('Input should be', 'it must be')}, not {_describe(given)}"
    if problem["type"].startswith(("greater_than", "less_than")):
        return f"{message.replace('Input should', 'it must')}, not {_describe(given)}"
    return (
        message.replace("Tuple should", "List should")
        .replace("Value should have", "List should have")
        .replace(" after validation", "")
    )


def _describe(value: Any) -> str:
    """Say in words what was given."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text '{show_text(value, 60)}'"
    if isinstance(value, (int, float)):
        return show_text(value, 60)
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


def _advice(kind: str, given: Any) -> str:
    if kind == "bool_type" and isinstance(given, str) and given.lower() in ("yes", "no", "on", "off", "y", "n"):
        return f": write {'true' if given.lower() in ('yes', 'on', 'y') else 'false'}"
    if kind in ("int_type", "float_type") and isinstance(given, str):
        plain = given.replace("_", "")
        return f": write {plain}" if re.fullmatch(r"[-+]?\d+(\.\d+)?", plain) else ""
    if kind == "int_type" and isinstance(given, float) and given.is_integer() and abs(given) < 2**53:
        return f": write {int(given)}"
    if kind == "string_type" and isinstance(given, (int, float, bool)):
        return ": put quotes around it"
    return ""


def _keys_at(schema: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the valid keys of the section at a location; the names inside a dictionary are skipped."""
    current: Any = schema
    for part in location:
        fields = getattr(current, "model_fields", None)
        if fields is None:
            continue
        field = fields.get(part) or next((field for field in fields.values() if field.alias == part), None)
        if field is not None:
            current = _section_inside(field.annotation)
    fields = getattr(current, "model_fields", None) or {}
    return [field.alias or name for name, field in fields.items()]


def _section_inside(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        section = _section_inside(inner)
        if section is not None:
            return section
    return None
