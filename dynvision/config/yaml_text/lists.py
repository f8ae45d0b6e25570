"""Long lists in YAML: they are read by regular expressions, ten times as fast as event by event.

A long list of simple values is replaced by one placeholder, and the much shorter text is parsed. Where a placeholder
does not come back as an item of a list, as in a comment or a quoted text, the parser reads the whole text itself.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from typing import Any

from dynvision.config.yaml_text.scalars import CONSTANTS, resolve_scalar

__all__ = ["ShortenedText", "shorten_lists"]

_LEAST = 1000
"""Items from which on a list is long."""

_PLAIN = r"[-+]?\.?\w[\w.+@/%-]*+(?>[: ](?=\w)[\w.+@/%-]*+)*+"
_ITEM = rf"""(?>{_PLAIN}|~|"[^"\\\n\x85\u2028\u2029]*+"|'[^'\n\x85\u2028\u2029]*+')"""
_SPACE = r"[ \n]*+"
_FLOW = re.compile(rf"\[(?P<items>{_SPACE}{_ITEM}(?>{_SPACE},{_SPACE}{_ITEM})*+{_SPACE},?{_SPACE})\]", re.ASCII)
_END = r"(?> ++(?>#[^\n]*+)?+)?+\n"
_BLOCK = re.compile(rf"^(?P<indent> *+)(?P<items>- {_ITEM}{_END}(?>(?P=indent)- {_ITEM}{_END})*+)", re.M | re.A)
_COMMENT = re.compile(r" +#[^\n]*")
# Short lists are matched too, so that no line is looked at twice.
_ANY_ITEM = re.compile(_ITEM, re.ASCII)
_LETTERS = frozenset(string.ascii_letters)
"""What only texts and constants begin with."""

_NO_JSON = re.compile(r"(?<![.\d])\d{19}|[eE]\+?\d{3}")
"""Numbers that JSON takes although they may be too large."""


class ShortenedText:
    """A YAML text whose long lists are placeholders.

    Attributes:
        text: The shortened text.
        mark: What every placeholder begins with; the original text does not hold it.
        lists: The items that each placeholder stands for.
    """

    def __init__(self, text: str) -> None:
        self.mark = "long-list-"
        while self.mark in text:
            self.mark += "-"
        self.lists: dict[str, list[Any]] = {}
        self.text = _FLOW.sub(self._replace_flow, text)
        self.text = _BLOCK.sub(self._replace_block, self.text)

    def _replace_flow(self, match: re.Match[str]) -> str:
        items = match["items"]
        return match[0] if items.count(",") < _LEAST else f'["{self._keep(_flow_items(items))}"]'

    def _replace_block(self, match: re.Match[str]) -> str:
        if match["items"].count("\n") < _LEAST:
            return match[0]
        # The last item stays in the text: the next line may go on with it.
        kept, last = _split_last_line(match["items"])
        if "#" in kept:
            if '"' in kept or "'" in kept:  # It may be in a quoted text.
                return match[0]
            kept = _COMMENT.sub("", kept)
        indent = match["indent"]
        items = kept[2:-1].replace(f"\n{indent}- ", "\n").split("\n")
        if " \n" in kept:
            items = [item.rstrip(" ") for item in items]
        name = self._keep(_read_json(",".join(items)) or _resolve_all(items))
        return f'{indent}- "{name}"\n{last}'

    def _keep(self, items: list[Any]) -> str:
        name = f"{self.mark}{len(self.lists)}"
        self.lists[name] = items
        return name


def shorten_lists(text: str) -> ShortenedText | None:
    """Replace the long lists of a text by placeholders; `None` if it has none, or one that has to be read with care."""
    if len(text) < 2 * _LEAST:
        return None
    try:
        shortened = ShortenedText(text)
    except ValueError:  # An item is wrong; the parser says where.
        return None
    return shortened if shortened.lists else None


def _flow_items(items: str) -> list[Any]:
    if (found := _read_json(items.rstrip(" \n").removesuffix(","))) is not None:
        return found
    if '"' in items or "'" in items:
        return _resolve_all(_ANY_ITEM.findall(items))
    return _resolve_all([item for text in items.split(",") if (item := text.strip(" \n"))])


def _read_json(items: str) -> list[Any] | None:
    """Return items that JSON and YAML both read as a list, which both read as the same list; `None` if they are not."""
    if _NO_JSON.search(items):
        return None
    try:
        return list(json.loads(f"[{items}]", parse_constant=_refuse))
    except ValueError:
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is a text in YAML")


def _resolve_all(items: list[str]) -> list[Any]:
    resolve: Callable[[str], Any] = _resolve
    constants: Callable[[str, str], Any] = CONSTANTS.get
    return [constants(item, item) if item[0] in _LETTERS else resolve(item) for item in items]


def _resolve(item: str) -> Any:
    return item[1:-1] if item[0] in ("'", '"') else resolve_scalar(item)


def _split_last_line(text: str) -> tuple[str, str]:
    at = text.rindex("\n", 0, len(text) - 1) + 1
    return text[:at], text[at:]
