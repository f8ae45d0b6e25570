"""What a weights file is, without loading it; needs no torch."""

from __future__ import annotations

import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

from dynvision.system.files import sha256_file

__all__ = ["digest_checkpoint", "read_weights_metadata"]


def read_weights_metadata(path: Path) -> dict[str, Any] | None:
    """Read the metadata of a safetensors file without loading it; `None` where there is none."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                return None
            header = json.loads(file.read(length))
        return dict(json.loads(header["__metadata__"]["dynvision"]))
    except (OSError, struct.error, ValueError, LookupError, TypeError):
        return None


def digest_checkpoint(path: Path) -> str:
    """A digest of the file, or `missing`; read once for as long as its size and time stay the same."""
    try:
        state = path.stat()
    except OSError:
        return "missing"
    return _digest(path, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, size: int, time: int) -> str:
    return sha256_file(path)[:32]
