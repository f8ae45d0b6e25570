"""Damaging files, sealing them again, and finding what a stopped build left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynvision.records import CHECKSUM, Record
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import write_json

NOBODY = 65534


def flip_byte(path: Path, position: int) -> None:
    """Change one byte of a file; a negative position counts from the end."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(bytes(content))


def reseal(folder: Path, **changes: Any) -> Record:
    """Write a record that fits the files in a folder, as if these were the ones that had been built.

    Args:
        folder: The folder of an output with a `record.json`, which may be damaged but is JSON.
        changes: Other values for fields of the record.
    """
    path = folder / "record.json"
    content = {name: value for name, value in json.loads(path.read_bytes()).items() if name != CHECKSUM}
    files = digest_files(folder, list_files(folder, [path.name]))
    record = Record(**{**content, "files": files, **changes})
    write_json(path, record.to_dict())
    return record


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, without hidden files: these remember, and say nothing."""
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


@contextlib.contextmanager
def without_privileges() -> Iterator[None]:
    """Have no more rights than anybody: permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def find_leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below a folder."""
    return sorted(p.name for p in folder.rglob("*") if "partial" in p.name or p.name.startswith(".unpacked"))


def md5(path: Path) -> str:
    """The MD5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()
