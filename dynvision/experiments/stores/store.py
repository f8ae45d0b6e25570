"""Response stores: one Zarr (version 3) group for each condition.

A store is written next to its final place, as `.<name>.partial`, read back, and renamed. `record.json` inside it is
written last: a store without it is incomplete, and no reader opens it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from dynvision.errors import DamagedFileError
from dynvision.experiments.stores.files import open_array
from dynvision.experiments.stores.journal import JOURNAL
from dynvision.system.failures import is_unreadable, unreadable_file
from dynvision.system.files import read_file
from dynvision.system.guards import check_guard

__all__ = [
    "DIGEST",
    "PENDING",
    "RECORD",
    "consolidate_store",
    "count_batches",
    "digest_block",
    "digest_content",
    "discard_partial",
    "join_digests",
    "partial_path",
    "read_note",
    "reject_partial",
    "verify_store",
]

RECORD = "record.json"
"""The file in a store that makes it whole."""

PENDING = "pending.json"
"""The file in a store that says what `verify_store` has to find."""

DIGEST = "xxh3_128"
"""How blocks are digested."""


def partial_path(store: Path) -> Path:
    """Return where a store is written before it is whole."""
    return store.with_name(f".{store.name}.partial")


def count_batches(store: Path) -> int:
    """Return how many batches of a store that is not whole yet are on the disk."""
    try:
        lines = (partial_path(store) / JOURNAL).read_bytes().count(b"\n")
    except OSError:
        return 0
    return max(0, lines - 1)  # without the header


def reject_partial(store: Path) -> None:
    """Make sure that what was written for a store is never resumed. The files stay for whoever wants to look.

    Raises:
        LockLostError: If another process has taken over the lock of the store: then the files are that one's.
    """
    check_guard(store)
    for name in (JOURNAL, PENDING):
        (partial_path(store) / name).unlink(missing_ok=True)


def discard_partial(store: Path) -> None:
    """Delete what was written for a store: the journal first, so that a half-deleted store is never resumed."""
    reject_partial(store)
    shutil.rmtree(partial_path(store), ignore_errors=True)


def digest_block(values: npt.NDArray[Any]) -> str:
    """Digest the values of a block: 128 bits of XXH3, ten times as fast as SHA-256 and as sure against accidents.

    Args:
        values: Of any shape and type; the digest does not depend on the layout in memory.
    """
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def join_digests(digests: Iterable[str]) -> str:
    """Make one digest of those of an array's blocks, in order."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def digest_content(digests: Mapping[str, str]) -> str:
    """Make one digest of a whole store from the digest of each array."""
    together = "".join(f"{name}:{digest}" for name, digest in sorted(digests.items()))
    return hashlib.sha256(together.encode()).hexdigest()[:32]


def read_note(folder: Path) -> dict[str, Any]:
    """Read the note that `StoreWriter.finish` left in a store.

    Raises:
        DamagedFileError: If there is none, or it is damaged.
    """
    try:
        note: dict[str, Any] = json.loads(read_file(folder / PENDING))
        whole_numbers = [int(note[name]) for name in ("batch_size", "block_steps")]
        is_whole = min(whole_numbers) > 0 and {*note["shapes"]} == {*note["digests"]} and "record" in note
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        if isinstance(error, OSError) and is_unreadable(error):
            raise unreadable_file(folder / PENDING, error, "Run it again.") from error
        raise DamagedFileError(f"{folder} is incomplete: showing the stimuli did not finish. Run it again.") from error
    if not is_whole:
        raise DamagedFileError(f"{folder / PENDING} is damaged. Run it again.")
    return note


def verify_store(folder: Path) -> dict[str, Any]:
    """Read a written store back and compare it with what was written.

    Args:
        folder: A partial store, before it is put in place.

    Returns:
        The note that `StoreWriter.finish` left.

    Raises:
        DamagedFileError: If it is incomplete or not finite, or has other shapes or contents.
    """
    pending = read_note(folder)
    shapes, wanted, chunk = pending["shapes"], pending["digests"], (pending["batch_size"], pending["block_steps"])
    for name, shape in shapes.items():
        if _digest_array(folder / name, shape, chunk, pending["allow_nonfinite"]) != wanted[name]:
            raise DamagedFileError(f"{folder / name} does not hold what was written. Run it again with --force.")
    return pending


def consolidate_store(folder: Path) -> None:
    """Gather the metadata of all arrays in one file, so that a store opens at once and without a warning."""
    import warnings

    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        zarr.consolidate_metadata(str(folder), zarr_format=3)


def _digest_array(path: Path, shape: list[int], chunk: tuple[int, int], allow_nonfinite: bool) -> str:
    digests = []
    try:
        for block in _read_blocks(path, shape, chunk):
            if not allow_nonfinite and block.dtype.kind == "f" and not np.isfinite(block).all():
                raise DamagedFileError(f"{path} holds responses that are not finite")
            digests.append(digest_block(block))
    except DamagedFileError:
        raise
    except ValueError as error:
        raise DamagedFileError(f"{path} cannot be read: {error}") from error
    return join_digests(digests)


def _read_blocks(path: Path, shape: list[int], chunk: tuple[int, int]) -> Iterator[npt.NDArray[Any]]:
    array = open_array(path)
    if list(array.shape) != shape:
        raise DamagedFileError(f"{path} has the shape {list(array.shape)} where {shape} was written")
    rows, steps = chunk
    for first in range(0, shape[0], rows):
        for start in range(0, shape[1], steps):
            region = (slice(first, min(first + rows, shape[0])), slice(start, min(start + steps, shape[1])))
            yield array[region].read().result()
