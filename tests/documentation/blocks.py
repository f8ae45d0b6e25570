"""The code in a page: its blocks in order, what is hidden around them, and the commands in its sentences.

A block runs as it stands. A comment before it changes that:

    <!-- test: check -->     not run (it serves for ever, needs a cluster …); its commands are parsed, its shell is too
    <!-- test: load -->      YAML that is loaded and then forgotten, not kept for what follows

and `<!-- setup … -->` holds shell lines that run at their place and that readers do not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]

LANGUAGES = {"bash", "python", "yaml", "text", "nginx"}

_PART = re.compile(
    r"<!-- setup\n(?P<setup>.*?)-->"
    r"|<!-- test: (?P<mark>\w+) -->"
    r"|^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Its page, from the project's folder.
        line: Where its code begins.
        language: `bash`, `python`, `yaml`, `text`, `nginx`.
        code: Its text.
        mark: `run`, `check`, `load` or `setup`.
    """

    page: str
    line: int
    language: str
    code: str
    mark: str = "run"

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(path: Path) -> list[Block]:
    """The blocks of a page, with the hidden ones, in order."""
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(PROJECT).as_posix() if path.is_relative_to(PROJECT) else path.name
    blocks, mark = [], "run"
    for part in _PART.finditer(text):
        line = text[: part.start()].count("\n") + 2
        if part["mark"]:
            mark = part["mark"]
        elif part["setup"] is not None:
            blocks.append(Block(page, line, "bash", part["setup"], "setup"))
        else:
            indent = len(part["indent"])
            code = "\n".join(row[indent:] for row in part["code"].split("\n"))
            blocks.append(Block(page, line, part["language"], code, mark))
            mark = "run"
    return blocks


def read_commands(path: Path) -> list[str]:
    """The `dynvision …` commands in a page's sentences and tables."""
    prose = _PART.sub("", path.read_text(encoding="utf-8"))
    return [found for found in re.findall(r"`(dynvision [^`]+)`", prose) if "|" not in found]


def command_lines(code: str) -> list[str]:
    """The lines of a shell block: continued ones joined, comments and empty ones left out."""
    joined = re.sub(r"\\\n\s*", "", code)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.strip().startswith("#")]
