"""Reading what a weights file says of itself; needs no torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

__all__ = ["read_weights_metadata"]


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
