"""What a file of weights says of itself, read without torch and without its weights."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from dynvision.system.files import sha256_file

__all__ = ["digest_checkpoint", "read_weights_metadata"]


def read_weights_metadata(path: Path) -> dict[str, Any] | None:
    """Read the metadata of a safetensors file without loading its weights.

    Returns:
        The metadata; `None` if there is no such file, it is incomplete, or it has no metadata of this project.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(json.loads(file.metadata()["dynvision"]))
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None


def digest_checkpoint(path: Path) -> str:
    """Digest a file; `missing` if there is none. It is read again only if its size, times or inode change."""
    try:
        state = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    return _digest(path, (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino))


@cache
def _digest(path: Path, stamp: tuple[int, ...]) -> str:
    return sha256_file(path)[:32]
