"""Damaging files, and finding what a stopped build left."""

from __future__ import annotations

import hashlib
from pathlib import Path


def flip_byte(path: Path, position: int) -> None:
    """Change one byte of a file; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))


def find_leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below a folder."""
    return sorted(p.name for p in folder.rglob("*") if "partial" in p.name or p.name.startswith(".unpacked"))


def md5(path: Path) -> str:
    """The MD5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()
