"""Write `.beton` files that are whole and checked: under a temporary name first, verified, then renamed.

The format itself has no checksum, and a damaged file can return black images or end the process. So each file has a
sidecar `<name>.beton.json` with its digest and a table of its samples (see `sidecars`), and is opened only after it has
been compared with them. FFCV's own writer is not used, because it hangs if an image, a worker or the disk fails (see
`layout`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dynvision.data.betons.sample_table import table_path, write_table
from dynvision.data.betons.sidecars import remember_verified, seal_sidecar, sidecar_path
from dynvision.data.betons.spec import LEAST_SHARE, WRITE_MODES, BetonFile, require_ffcv
from dynvision.data.betons.watchdog import run_writer
from dynvision.data.images.samples import Sample, tabulate_samples
from dynvision.errors import DamagedFileError, DataError, DynvisionError, unknown_name
from dynvision.system.files import (
    check_free_space,
    make_directory,
    replace_file,
    sha256_file,
    temporary_sibling,
    write_json,
)
from dynvision.system.guards import check_guard

__all__ = ["write_beton", "write_betons"]


def write_beton(
    path: Path | str,
    samples: Sequence[Sample],
    *,
    base: Path | str = ".",
    resolution: int,
    channels: int = 3,
    record: dict[str, Any] | None = None,
    timeout: float = 60.0,
    write_mode: str | None = None,
    jpeg_quality: int = 95,
    max_bad_images: int = 0,
) -> dict[str, Any]:
    """Write one `.beton` file with its sidecar; see `BetonFile` and `write_betons`."""
    if write_mode is not None and write_mode not in WRITE_MODES:
        raise unknown_name("write_mode", write_mode, WRITE_MODES)
    file = BetonFile(Path(path), samples, Path(base), resolution, channels, record or {}, write_mode, jpeg_quality)
    return write_betons([file], timeout=timeout, description=file.path.name, max_bad_images=max_bad_images)[0]


def write_betons(
    files: Sequence[BetonFile],
    *,
    timeout: float,
    description: str,
    max_bad_images: int = 0,
    finish_record: Callable[[list[list[str]]], dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Write `.beton` files, in a child process under a watchdog, and their sidecars.

    Each file is written to a temporary name, read back and compared with the images, hashed, and renamed. If anything
    goes wrong, nothing is left under the final name.

    Args:
        files: What to write.
        timeout: Seconds without progress after which the writer is stopped.
        description: The text of the progress bar.
        max_bad_images: How many unreadable images, in all files together, may be left out; they are listed in the
            sidecars.
        finish_record: Makes the record of all files, given `[path, reason]` of the images that were left out; by
            default each file keeps its own.

    Returns:
        The sidecars.

    Raises:
        DataError: If images cannot be read; names all of them.
        DynvisionError: If the writer stopped or was stuck, or the disk is too small.
    """
    _check_output(files, description)
    temporaries = [temporary_sibling(file.path) for file in files]
    try:
        facts = run_writer(files, temporaries, timeout, description, max_bad_images)
        for file, fact in zip(files, facts, strict=True):  # Paths relative to the root: it may be moved.
            fact["skipped"] = {position for position, _ in fact["left_out"]}
            fact["left_out"] = sorted([file.samples[n].source, reason] for n, reason in fact["left_out"])
        left_out = [bad for fact in facts for bad in fact["left_out"]]
        record = finish_record(left_out) if finish_record is not None else None
        sidecars = [
            _sidecar(file, fact, temporary, record)
            for file, fact, temporary in zip(files, facts, temporaries, strict=True)
        ]
        for sidecar, temporary in zip(sidecars, temporaries, strict=True):
            _write_sidecar(temporary, sidecar)
        for file, sidecar, temporary in zip(files, sidecars, temporaries, strict=True):
            _put_in_place(temporary, file.path, sidecar["file"]["sha256"])
        return sidecars
    except OSError as error:
        raise DynvisionError(
            f"{description}: {files[0].path.parent} could not be written ({error}). No half file was left behind. Make "
            "room or mend the disk, then run this again."
        ) from error
    finally:
        for temporary in temporaries:
            for path in (temporary, table_path(temporary), sidecar_path(temporary)):
                path.unlink(missing_ok=True)


def _check_output(files: Sequence[BetonFile], description: str) -> None:
    """Make the folders, and raise if FFCV, images or space are missing."""
    require_ffcv()
    for file in files:
        if not file.samples:
            raise DataError(f"{file.path}: there are no images to write; check the group and the raw stage")
        make_directory(file.path.parent)
    needed = sum(len(f.samples) * f.resolution**2 * f.channels * LEAST_SHARE[f.mode] for f in files)
    check_free_space(files[0].path.parent, int(needed) + len(files) * (4 << 20), description)


def _write_sidecar(temporary: Path, sidecar: dict[str, Any]) -> None:
    """Write the sidecar of a temporary file and its table of samples, and compare the file with its digest."""
    table = write_table(temporary, sidecar["samples"])
    write_json(sidecar_path(temporary), seal_sidecar({**sidecar, "table": table}), indent=None)
    if sha256_file(temporary) != sidecar["file"]["sha256"]:
        raise DamagedFileError(f"{temporary} changed after it was read back; run this again")


def _put_in_place(temporary: Path, path: Path, sha256: str) -> None:
    """Rename a file, its table and its sidecar, which all are on the disk already, one right after the other.

    The sidecar comes last, because it contains the digests of the other two: with the old sidecar, a new file or table
    that differs is recognized as another one. A reader who comes in between reads again (see `sidecars`).
    """
    check_guard(path)
    os.replace(temporary, path)
    os.replace(table_path(temporary), table_path(path))
    replace_file(sidecar_path(temporary), sidecar_path(path))
    remember_verified(path, sha256)


def _sidecar(file: BetonFile, fact: dict[str, Any], temporary: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    samples = [s for position, s in enumerate(file.samples) if position not in fact["skipped"]]
    return {
        "record": file.record if record is None else record,
        "file": {
            "name": file.path.name,
            "bytes": temporary.stat().st_size,
            "sha256": fact["sha256"],
            "pixels": fact["pixels"],
            "samples": len(samples),
            "resolution": file.resolution,
            "fit": file.fit,
            "channels": file.channels,
            "write_mode": file.mode,
            "jpeg_quality": None if file.mode in ("raw", "bytes") else file.jpeg_quality,
            "label_space": "original",
            "bad_images": fact["left_out"],
            "write_seconds": round(fact["seconds"], 3),
        },
        "samples": tabulate_samples(samples),
    }
