"""What a file of weights says of itself, and its weights as arrays, read without torch where NumPy has their types."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.system.files import sha256_file

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["digest_checkpoint", "read_arrays", "read_weights_metadata"]


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


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the weights of a safetensors file as arrays; those of a type that NumPy does not have, as float32.

    Raises:
        OSError: If it cannot be read.
        safetensors.SafetensorError: If it is damaged.
    """
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (TypeError, AttributeError, KeyError):  # bfloat16, and all of 8 bits
        from safetensors.torch import load_file as load_tensors

        weights = load_tensors(path).items()
        return {name: (value.float() if value.is_floating_point() else value).numpy() for name, value in weights}


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
