"""Reading a finished `.beton` back and comparing it, image for image, with what went in."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dynvision.data.betons.encoding import digest_content
from dynvision.data.betons.layout import RAW, Layout
from dynvision.errors import DamagedFileError

__all__ = ["read_back"]

_CHUNK = 1 << 22


def read_back(
    job: dict[str, Any],
    paths: Sequence[str],
    labels: Sequence[int],
    digests: Sequence[int],
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Compare every image and label of a finished file with what went in, and hash the file at the same time.

    Args:
        job: `temporary` (the file), `channels`, `resolution` and `write_mode`.
        paths: The images that were written, for messages.
        labels: Their labels.
        digests: Their digests, made when they were decoded.
        advance: Called again and again, as a sign of progress.

    Returns:
        `sha256` of the file, and `pixels`: a digest of all pixels and labels in order.

    Raises:
        DamagedFileError: If the file does not contain what was written.
    """
    path = Path(job["temporary"])
    with ThreadPoolExecutor(2) as pool:
        on_disk = pool.submit(_sync, path)
        sha256 = pool.submit(_hash_file, path, advance)
        _compare(path, job, paths, labels, digests, advance)
        on_disk.result()
        stored = np.asarray(digests, np.uint64).tobytes() + np.asarray(labels, np.int64).tobytes()
        return {"sha256": sha256.result(), "pixels": hashlib.sha256(stored).hexdigest()[:32]}


def _compare(
    path: Path,
    job: dict[str, Any],
    paths: Sequence[str],
    labels: Sequence[int],
    digests: Sequence[int],
    advance: Callable[[], None],
) -> None:
    layout = Layout.read(path, job["channels"], job["resolution"])
    rows, allocations = layout.rows, layout.allocations
    if len(rows) != len(paths) or len(allocations) != len(paths):
        raise DamagedFileError(f"{path}: the file holds {len(rows)} images where {len(paths)} were written")
    order = np.arange(len(paths))
    size = job["resolution"] ** 2 * job["channels"]
    raw = rows["f0"]["mode"] == RAW if job["channels"] == 3 else np.ones(len(rows), bool)
    for name, right in (
        ("label", rows["f1"] == np.asarray(labels)),
        (
            "place",
            (rows["f2"] == order) & (allocations["sample_id"] == order) & (allocations["ptr"] == layout.pointers),
        ),
        ("size", ~raw | (allocations["size"] == size)),
    ):
        if not right.all():
            raise DamagedFileError(f"{path}: the {name} of {paths[int(np.argmin(right))]} was not written as given")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)
        try:
            starts, lengths = allocations["ptr"].tolist(), allocations["size"].tolist()
            for start, length, digest, name in zip(starts, lengths, digests, paths, strict=True):
                if digest_content(view[start : start + length]) != digest:
                    raise DamagedFileError(f"{path}: the pixels of {name} were not written as given")
                advance()
        finally:
            view.release()


def _hash_file(path: Path, advance: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            advance()
    return digest.hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
