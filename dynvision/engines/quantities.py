"""Memory and time as people write them, `16G` and `30m`. A number without a unit is refused.

Batch systems disagree on bare numbers: Slurm reads minutes and megabytes, others seconds and bytes.
"""

from __future__ import annotations

import re

__all__ = ["format_memory", "format_time", "parse_memory", "parse_time"]

_LARGEST_MEMORY = 2**50
_LONGEST_TIME = 366 * 86400

_MEMORY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*([KMGTkmgt])(?:i?[Bb])?")
_FACTORS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile(
    r"(?:(\d{1,9}(?:\.\d{1,9})?)d)?(?:(\d{1,9}(?:\.\d{1,9})?)h)?(?:(\d{1,9}(?:\.\d{1,9})?)m)?(?:(\d{1,9})s)?"
)
_CLOCK = re.compile(r"(?:(\d{1,4})-)?(\d{1,5}):([0-5]\d):([0-5]\d)")


def parse_memory(value: object) -> int:
    """Return the bytes of an amount of memory.

    Args:
        value: Such as `16G`, `500M`, `1.5T`, `16GB` or `16GiB`. A G is 1024³ bytes in all of them, as batch systems
            read it.

    Raises:
        ValueError: If it is no such amount, or has no unit; the message says what to write.
    """
    text = _as_text("memory", value, "G")
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text[:40]}' is no amount of memory; write a number and a unit: 500M, 16G, 1.5T")
    amount = int(float(found[1]) * _FACTORS[found[2].upper()])
    if not 2**20 <= amount <= _LARGEST_MEMORY:
        raise ValueError(f"'{text[:40]}' is outside of what a machine has; write 1M at least and 1024T at most")
    return amount


def parse_time(value: object) -> int:
    """Return the seconds of a length of time.

    Args:
        value: Such as `90s`, `30m`, `12h`, `2d`, `1h30m`, `1:30:00` (hours, minutes, seconds) or `1-12:00:00` (days
            before them).

    Raises:
        ValueError: If it is no such time, or has no unit; the message says what to write.
    """
    text = _as_text("time", value, "m")
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        length = float(days * 86400 + hours * 3600 + minutes * 60 + seconds)
    elif text and (parts := _PARTS.fullmatch(text.replace(" ", ""))):
        length = sum(float(part or 0) * unit for part, unit in zip(parts.groups(), _UNITS.values(), strict=True))
    elif re.fullmatch(r"\d+:\d+", text):
        raise ValueError(
            f"'{text[:40]}' is minutes for some and hours for others; write 1h30m, or 1:30:00 with seconds"
        )
    else:
        raise ValueError(f"'{text[:40]}' is no length of time; write 90s, 30m, 12h, 2d, 1h30m, 1:30:00 or 1-12:00:00")
    if not 1 <= length <= _LONGEST_TIME:
        raise ValueError(f"'{text[:40]}' is no time for a job; write 1s at least and 366d at most")
    return int(length)


def _as_text(name: str, value: object, unit: str) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    shown = "" if isinstance(value, int) and value.bit_length() > 60 else str(value).strip()
    if is_number or (isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", shown)):
        short = shown if shown and len(shown) < 12 else "16"
        raise ValueError(f"{shown[:20] or 'a number'} has no unit; write {short}{unit}")
    if not isinstance(value, str):
        raise ValueError(f"{name} is a number with a unit, such as {'16G' if unit == 'G' else '30m'}")
    return shown


def format_memory(amount: int) -> str:
    """Write bytes in the largest unit in which they are whole: `16G`, `500M`."""
    unit = next((u for u in ("T", "G", "M", "K") if amount >= _FACTORS[u] and amount % _FACTORS[u] == 0), None)
    return f"{amount // _FACTORS[unit]}{unit}" if unit else f"{-(-amount // 2**20)}M"


def format_time(seconds: int) -> str:
    """Write seconds as hours, minutes and seconds: `26:00:00`. Every batch system reads it, LSF but for the seconds."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
