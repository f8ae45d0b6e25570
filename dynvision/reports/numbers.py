"""Numbers as texts: with the digits that their error leaves, and `–` where there is none."""

from __future__ import annotations

import math

__all__ = ["NONE", "format_interval", "format_measured", "format_number"]

NONE = "–"
"""Stands where there is no number."""

_MOST_DECIMALS = 6


def format_number(value: object) -> str:
    """Return a number with three digits, a whole one with all of them; `NONE` for one that is missing or NaN."""
    if isinstance(value, bool | str):
        return str(value)
    if value is None or not math.isfinite(number := float(value)):  # type: ignore[arg-type]
        return NONE
    if number == int(number) and abs(number) < 1e9:
        return f"{number:.0f}".replace("-", "−")
    return f"{number:.3g}".replace("-", "−")


def format_measured(value: object, error: object) -> str:
    """Return a value with its standard error, both up to the second digit of the error."""
    number, sem = _read(value), _read(error)
    if number is None or not sem:
        return format_number(value)
    decimals = max(1 - math.floor(math.log10(sem)), 0)
    if decimals > _MOST_DECIMALS:
        return f"{number:.3g} ± {sem:.2g}".replace("-", "−")
    return f"{number:.{decimals}f} ± {sem:.{decimals}f}".replace("-", "−")


def format_interval(value: object, low: object, high: object) -> str:
    """Return an estimate with its interval, in which an end without a limit is infinite; without any, the estimate."""
    ends = [_read(low), _read(high)]
    if _read(value) is None or ends == [None, None]:
        return format_number(value)
    left = "(−∞" if ends[0] is None else f"[{format_number(ends[0])}"
    right = "∞)" if ends[1] is None else f"{format_number(ends[1])}]"
    return f"{format_number(value)} {left}, {right}"


def _read(value: object) -> float | None:
    """Return a finite number; `None` for all else."""
    number = math.nan if value is None else float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None
