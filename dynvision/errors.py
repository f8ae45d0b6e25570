"""The errors a user meets: each says what was wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DamagedFileError",
    "DataError",
    "DynvisionError",
    "KilledError",
    "LockLostError",
    "MachineError",
    "MissingError",
    "OutOfMemoryError",
    "OutOfTimeError",
    "OutputBusyError",
    "UnexpectedError",
    "UnknownNameError",
    "UnreadableError",
    "check_number",
    "nearest_name",
    "printable",
    "unknown_name",
]


_LONGEST_SHOWN = 200
_MOST_COMPARED = 20_000


class DynvisionError(Exception):
    """Base of the errors that are meant for a user to read.

    Attributes:
        kept: The targets, as text, that a command built all the same before it failed.
    """

    kept: tuple[str, ...] = ()


class ConfigError(DynvisionError, ValueError):
    """A setting is wrong; the message names the file and the key path."""


class UnknownNameError(ConfigError):
    """A name is not among the valid ones; the message names the nearest."""


class DataError(DynvisionError, ValueError):
    """A data set, archive or image is not what it should be."""


class DamagedFileError(DataError):
    """A file does not match the record that was written with it."""


class UnreadableError(DamagedFileError):
    """A file or folder exists but cannot be read now. Nothing says that it is damaged, so it is not built again."""


class MachineError(DynvisionError):
    """The machine refused something: the disk is full, a permission is missing, a limit is too low."""


class OutOfMemoryError(MachineError):
    """There was not enough memory, of the machine or of a GPU."""


class OutOfTimeError(DynvisionError):
    """The time that a computation was given on a cluster was over before it had finished."""


class KilledError(DynvisionError):
    """The process that computed was killed by signal 9, as the system does when memory runs out."""


class UnexpectedError(DynvisionError):
    """Code failed in a way that nobody expected; the message names the file with the traceback."""


class OutputBusyError(DynvisionError):
    """Another process is building the same output."""


class LockLostError(DynvisionError):
    """Another process has taken over the lock of an output that this one was building; nothing was put in place."""


class MissingError(DynvisionError, FileNotFoundError):
    """Something that has to be built first is not there; the message names the command."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


def nearest_name(name: object, valid: Iterable[object]) -> str:
    """Say which valid name is nearest to `name`, or list what there is.

    Numbers are compared by value (`0.45` is nearest to `0.4`), everything else by spelling.

    Returns:
        A sentence for the end of an error message.
    """
    names = [printable(str(v)) for v in valid]
    if not names:
        return "There is none yet."
    near = _nearest_number(str(name), names)
    if not near and len(str(name)) <= _LONGEST_SHOWN:  # Comparing takes long for long texts.
        near = difflib.get_close_matches(str(name), names[:_MOST_COMPARED], 1, 0.5)
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"Did you mean '{near[0]}'? Valid: {shown}." if near else f"Valid: {shown}."


def unknown_name(noun: str, name: object, valid: Iterable[object], where: str = "") -> UnknownNameError:
    """Build the error for a name that does not exist.

    Args:
        noun: What the name stands for (`dataset`, `class group`, …).
        name: The unknown name.
        valid: The names that exist.
        where: The file and key, or the command, that named it.
    """
    prefix = f"{_cut(where)}: " if where else ""
    return UnknownNameError(f"{prefix}unknown {noun} '{printable(_cut(str(name)))}'. {nearest_name(name, valid)}")


def check_number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, *, whole: bool = False
) -> None:
    """Raise if a setting is not a finite number within its bounds.

    Args:
        name: The setting, for the message.
        value: Its value; a Boolean does not count as a number.
        low: The lowest value that is valid.
        high: The highest one.
        whole: Whether it must be a whole number.

    Raises:
        ValueError: If it is not such a number; the message says which numbers are valid.
    """
    if _is_number(value, whole) and low <= value <= high:  # type: ignore[operator]
        return
    bounds = (f" from {low:g}" if low > -math.inf else "") + (f" to {high:g}" if high < math.inf else "")
    noun = "a whole number" if whole else "a finite number" if not bounds else "a number"
    raise ValueError(f"{name} must be {noun}{bounds}, not {_show_value(value)}")


def _is_number(value: object, whole: bool) -> bool:
    if type(value) is float and not whole:
        return math.isfinite(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral if whole else numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # A whole number that no float can hold.
        return False


def _show_value(value: object) -> str:
    """Write a value in code, cut where it is long; Python refuses to write whole numbers of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def printable(text: str) -> str:
    """Return a text on one line, with escapes for what cannot be printed."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _nearest_number(name: str, names: list[str]) -> list[str]:
    try:
        value = float(name)
        return [min(names, key=lambda other: abs(float(other) - value))]
    except ValueError:
        return []
