"""Names from outside in texts that are parsed: Markdown of the UI, mathtext of matplotlib, error messages."""

from __future__ import annotations

import re

__all__ = ["code_span", "escape_markdown", "escape_mathtext", "show_text"]

_SPECIAL = re.compile(r"[\\`*\[\]<>|~&#!$@]|(?<![a-z0-9])_|_(?![a-z0-9])|:(?=//)|(?<=www)\.", re.IGNORECASE | re.ASCII)
"""Characters that begin something in Markdown wherever they are: code, emphasis, a link, HTML, a table, an address.

A `_` within a word begins nothing. It stays as it is, because Dagster's catalog shows descriptions as they are written.
"""

_LEADING = re.compile(r"^(\s*)(?:(\d+)([.)])|([-+=]))")
"""What begins a list or underlines a heading at the start of a line."""


def show_text(text: object, most: int | None = None) -> str:
    """Return a text on one line, with every character that cannot be printed as its escape sequence.

    Args:
        text: Any text; it may hold newlines, control characters, marks that reverse the direction of writing, and the
            surrogates that stand for bytes of a file name that are no UTF-8.
        most: Cut it after this many characters; by default it is not cut.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return shown if most is None or len(shown) <= most else shown[: most - 1] + "…"


def escape_markdown(text: object) -> str:
    """Return Markdown that is shown as exactly this text, on one line: no link, picture, HTML, table or emphasis."""
    escaped = _SPECIAL.sub(r"\\\g<0>", show_text(text))
    return _LEADING.sub(lambda m: f"{m[1]}{m[2] or ''}\\{m[3] or m[4]}", escaped)


def code_span(text: object) -> str:
    """Return Markdown that shows this text as code, on one line."""
    shown = show_text(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def escape_mathtext(text: object, most: int | None = None) -> str:
    r"""Return a label that matplotlib draws as exactly this text, on one line: a `$` in it begins no formula.

    Args:
        text: The text.
        most: Cut it after this many characters; by default it is not cut.
    """
    return show_text(text, most).replace("$", r"\$")
