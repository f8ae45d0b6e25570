"""Names of class folders, compared as people read them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["find_alike", "is_number", "is_system_folder", "join_names", "quote_pair", "read_name", "show_name"]

_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "__pycache__", "lost+found", "$recycle.bin", "system volume information", "_gsdata_"),
        *("@eadir", "@tmp", "@sharebin", "@snapshot", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
        *("~snapshot", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    }
)
"""Folders that operating systems, network disks and archivers make; in lower case."""

_MINUS = "MINUS"
"""Stands for the sign of a number, which is not a separator. No other text has upper case when it is compared."""


def is_system_folder(name: str) -> bool:
    """Whether another program made a folder, such as `__MACOSX`, or hides it, such as `.ipynb_checkpoints`."""
    lower = name.lower()
    return name[0] == "." or lower in _SYSTEM_FOLDERS or re.fullmatch(r"found\.\d{3}", lower) is not None


def is_number(name: str) -> bool:
    """Whether a name is a whole number from 0 on."""
    return re.fullmatch(r"\d+", name) is not None


def read_name(name: str) -> str:
    """Return a name as a person reads it; names that look alike give the same text.

    Case, Unicode normalisation, invisible characters, blanks around the name, and the choice of `-`, `_` or a blank do
    not count. Leading zeros do not count if the name has a single number (`01` and `1`, but not `0_05` and `0_5`). A
    minus in front of a number counts.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).replace("\u2212", "-")
    text = re.sub(r"(?:^|(?<=[\s_]))-(?=\d)", _MINUS, text)
    text = "".join(" " if c.isspace() or c == "_" or unicodedata.category(c) == "Pd" else c for c in text)
    text = " ".join("".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc")).split())
    if len(re.findall(r"\d+", text)) == 1:
        text = re.sub(r"(?<![\d.,])0+(?=\d)", "", text)
    return text or name


def find_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Find two different names that look alike; `None` if there are none."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        other = seen.setdefault(read_name(name), name)
        if other != name:
            return other, name
    return None


def quote_pair(first: str, second: str) -> str:
    """Quote two names so that one can tell them apart, with escapes if they would be printed alike."""
    is_hidden = unicodedata.normalize("NFKC", first) == unicodedata.normalize("NFKC", second)
    quote = ascii if is_hidden or not (first + second).isprintable() else repr
    return f"{quote(first)} and {quote(second)}"


def show_name(name: str) -> str:
    """Return a name that can be printed, whatever bytes it is made of."""
    return name if name.isprintable() else ascii(name)[1:-1]


def join_names(names: Iterable[str], most: int = 5) -> str:
    """List names in their order, the first few of them, each so that it can be printed."""
    shown = [show_name(name) for name in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
