"""Exporting images to PNG files in class folders: on several threads, and going on where it was interrupted."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.files import list_images
from dynvision.data.sources.class_folders import ClassFolder, Export
from dynvision.errors import DataError
from dynvision.system.files import digest_json, make_directory, read_json, write_json
from dynvision.system.machine import usable_cores
from dynvision.system.progress import progress_bar

__all__ = ["export_images", "interrupted_export", "open_export"]

_CHUNK = 256
"""Images that a thread writes at a time."""
_NOTE = ".export.json"

Numbered = tuple[int, int, npt.NDArray[np.uint8]]
"""The image's number in its source, its class, its pixels."""


def interrupted_export(folder: Path) -> Path:
    """Where an export to `folder` is written until it is whole."""
    return folder.with_name(f".{folder.name}.export")


def open_export(folder: Path, source: dict[str, Any]) -> Path:
    """Open the folder that an export is written to, with what an interrupted one of the same source left in it.

    Only for the holder of the output's lock.

    Args:
        folder: Where the finished export goes.
        source: What decides the images; what is left of another source is removed.
    """
    place = interrupted_export(folder)
    note = {"source": digest_json(source)}
    if place.exists() and read_json(place / _NOTE) != note:
        shutil.rmtree(place)
    make_directory(place)
    write_json(place / _NOTE, note)
    return place


def export_images(
    images: Iterable[tuple[int, npt.NDArray[np.uint8]]],
    names: Sequence[str],
    folder: Path,
    total: int,
    description: str,
    *,
    compress_level: int = 6,
    workers: int | None = None,
) -> Export:
    """Write images as PNG into zero-padded class folders.

    Folder `006` is class 6, so that string order is numeric order; file `00042.png` is the 43rd
    image of the split in its source's own order. A file that is there already is kept where its pixels are those of
    the image, so that an interrupted export goes on. The result does not depend on the number of workers.

    Args:
        images: Class index and image `[H, W, 3]` or `[H, W]`, uint8, in the source's order.
        names: The classes' names by index.
        folder: A folder made by `open_export`, or an empty one.
        total: How many images there are.
        description: What the progress bar says.
        compress_level: Compression of the files, 0 (none) to 9.
        workers: Threads that write; by default one a core.

    Raises:
        DataError: The source gives another number of images.
        OSError: A file cannot be written; what was written stays for the next try.
    """
    width = len(str(len(names) - 1))
    folders = [folder / f"{index:0{width}d}" for index in range(len(names))]
    going_on = any(place.exists() for place in folders)
    for place in folders:
        place.mkdir(exist_ok=True)
    tally = _Tally([0] * len(names), hashlib.sha256())
    workers = workers or usable_cores()
    numbered = ((number, index, image) for number, (index, image) in enumerate(images))
    with progress_bar(total, description) as bar, ThreadPoolExecutor(workers) as pool:
        for chunks in _batches(_count(numbered, tally), _CHUNK, 2 * workers):
            jobs = [pool.submit(_write_chunk, chunk, folders, compress_level, going_on) for chunk in chunks]
            for chunk, job in zip(chunks, jobs, strict=True):
                tally.n_bytes += job.result()
                bar.update(len(chunk))
    if sum(tally.counts) != total:
        raise DataError(f"{description}: the source gave {sum(tally.counts)} images where {total} were expected")
    if going_on:
        _check_counts(folders, tally.counts, description)
    (folder / _NOTE).unlink(missing_ok=True)
    classes = [ClassFolder(i, names[i], folders[i].name, tally.counts[i]) for i in range(len(names))]
    return Export(classes, tally.digest.hexdigest()[:32], tally.n_bytes, tally.shape)


@dataclass
class _Tally:
    """What is counted in the source's order, whatever order files are written in."""

    counts: list[int]
    digest: Any
    n_bytes: int = 0
    shape: list[int] | None = None


def _count(images: Iterable[Numbered], tally: _Tally) -> Iterator[Numbered]:
    for number, index, image in images:
        tally.digest.update(f"{index},{image.shape};".encode())
        tally.digest.update(image.tobytes())
        tally.counts[index] += 1
        tally.shape = list(image.shape)
        yield number, index, image


def _batches(images: Iterator[Numbered], size: int, count: int) -> Iterator[list[list[Numbered]]]:
    """Up to `count` chunks of `size` images at a time, so that memory stays bounded."""
    while chunks := [chunk for _ in range(count) if (chunk := list(islice(images, size)))]:
        yield chunks


def _write_chunk(chunk: Sequence[Numbered], folders: Sequence[Path], compress_level: int, going_on: bool) -> int:
    import cv2

    written = 0
    for number, index, image in chunk:
        path = folders[index] / f"{number:05d}.png"
        kept = _size_if_same(path, image) if going_on else None
        if kept is None:
            colours = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
            done, encoded = cv2.imencode(".png", colours, [cv2.IMWRITE_PNG_COMPRESSION, compress_level])
            if not done:
                raise OSError(f"image {number} could not be encoded as PNG")
            path.write_bytes(encoded.data)
            kept = len(encoded)
        written += kept
    return written


def _size_if_same(path: Path, image: npt.NDArray[np.uint8]) -> int | None:
    """The size of a file that holds exactly this image; `None` where it does not."""
    from dynvision.data.images.reading import read_image

    channels = 1 if image.ndim == 2 else 3
    try:
        held = read_image(path, channels, image.shape[0])
    except (OSError, ValueError):
        return None
    same = np.array_equal(held.reshape(image.shape), image) if held.size == image.size else False
    return path.stat().st_size if same else None


def _check_counts(folders: Sequence[Path], counts: Sequence[int], description: str) -> None:
    for place, count in zip(folders, counts, strict=True):
        held = len(list_images(place))
        if held != count:
            raise DataError(
                f"{description}: {place} holds {held} images where {count} were exported, left by an interrupted "
                f"export of something else. Remove {place.parent} and run this again."
            )
