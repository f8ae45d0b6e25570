"""`.beton` files that are whole and checked: written beside, verified, given a sidecar, renamed.

The format itself has no checksum, and a damaged file can return black images or end the process,
so a file is opened only after it has been compared with its sidecar `<name>.beton.json`. FFCV's own writer
is not used: it hangs where an image, a worker or the disk fails (see `beton_format`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.data.images import FIT
from dynvision.data.samples import Sample
from dynvision.data.sidecars import (
    changed_while_read,
    file_state,
    read_sidecar,
    read_sidecar_head,
    remember_verified,
    seal_sidecar,
    sidecar_path,
    verify_beton,
)
from dynvision.errors import DamagedFileError, DataError, DynvisionError, unknown_name
from dynvision.files import (
    check_free_space,
    make_directory,
    replace_file,
    sha256_file,
    temporary_sibling,
    write_json,
)

__all__ = [
    "WRITE_MODES",
    "BetonFile",
    "DamagedFileError",
    "changed_while_read",
    "default_write_mode",
    "file_state",
    "read_sidecar",
    "read_sidecar_head",
    "require_ffcv",
    "sidecar_path",
    "verify_beton",
    "write_beton",
    "write_betons",
]

RAW_UP_TO = 64
"""Images up to this width are written as raw pixels by default; `jpg` loses detail that small images need."""

WRITE_MODES = ("raw", "jpg", "smart", "proportion", "bytes")
"""How pixels can be stored: as they are; as JPEG; as JPEG where that is much smaller; half of the images as
JPEG; or the source's own JPEG bytes, unchanged and at their own size."""

_LEAST_SHARE = {"raw": 1.0, "proportion": 0.5, "jpg": 0.02, "smart": 0.02, "bytes": 0.0}
"""How much of its raw pixels' space an image takes at least: a disk with less is refused before anything is written."""


def default_write_mode(resolution: int, channels: int) -> str:
    """How images of a size are stored where nothing else is set: `raw` or `jpg`."""
    return "raw" if resolution <= RAW_UP_TO or channels == 1 else "jpg"


@dataclass(frozen=True)
class BetonFile:
    """A file to write.

    Attributes:
        path: Where it goes.
        samples: Its images, in the order of the file.
        base: The folder that relative sources start from.
        resolution: Width and height in pixels.
        channels: 3 or 1.
        record: What the file was made of, kept in the sidecar.
        write_mode: One of `WRITE_MODES`; `None` chooses by size. Images of one channel are always raw.
        jpeg_quality: Of images that are encoded as JPEG, 1 to 100.
    """

    path: Path
    samples: Sequence[Sample]
    base: Path
    resolution: int
    channels: int
    record: dict[str, Any]
    write_mode: str | None = None
    jpeg_quality: int = 95

    @property
    def mode(self) -> str:
        """How pixels are stored."""
        if self.channels == 1:
            return "raw"
        return self.write_mode or default_write_mode(self.resolution, self.channels)

    @property
    def fit(self) -> str:
        """How images of another size are brought to the resolution."""
        return "none: images keep their own size" if self.mode == "bytes" else FIT


def require_ffcv() -> None:
    """Raise where FFCV is not installed, and say both ways out."""
    if importlib.util.find_spec("ffcv") is None:
        raise DynvisionError(
            "FFCV is not installed, and this needs it. Either set 'use_ffcv: false' in config_data.yaml (images are "
            "then read directly), or install it: 'make setup', or the system packages pkg-config, libturbojpeg and "
            "OpenCV with their headers and then 'pip install ffcv'."
        )


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

    Each file is written to a temporary name, read back and compared with the images, hashed, and
    renamed. Nothing is left under the final name when something goes wrong.

    Args:
        files: What to write.
        timeout: Seconds without progress after which the writer is stopped.
        description: What the progress bar says.
        max_bad_images: How many unreadable images, in all files together, may be left out; they are listed in the
            sidecars.
        finish_record: Makes the record of all files, given `[path, reason]` of the images that were left out; by
            default each file keeps its own.

    Returns:
        The sidecars.

    Raises:
        DataError: Images cannot be read; all of them are named.
        DynvisionError: The writer stopped or was stuck, or the disk is too small.
    """
    from dynvision.data.beton_watchdog import run_writer

    require_ffcv()
    for file in files:
        if not file.samples:
            raise DataError(f"{file.path}: there are no images to write; check the group and the raw stage")
        make_directory(file.path.parent)
    needed = sum(len(f.samples) * f.resolution**2 * f.channels * _LEAST_SHARE[f.mode] for f in files)
    check_free_space(files[0].path.parent, int(needed) + len(files) * (4 << 20), description)
    temporaries = [temporary_sibling(file.path) for file in files]
    try:
        facts = run_writer(files, temporaries, timeout, description, max_bad_images)
        for file, fact in zip(files, facts, strict=True):  # by the sources' own names: a root may be moved
            fact["places"] = {place for place, _ in fact["left_out"]}
            fact["left_out"] = sorted([file.samples[place].source, reason] for place, reason in fact["left_out"])
        left_out = [bad for fact in facts for bad in fact["left_out"]]
        record = finish_record(left_out) if finish_record is not None else None
        sidecars = [
            _sidecar(file, fact, temporary, record)
            for file, fact, temporary in zip(files, facts, temporaries, strict=True)
        ]
        for sidecar, temporary in zip(sidecars, temporaries, strict=True):
            beside = sidecar_path(temporary)
            write_json(beside, seal_sidecar(sidecar), indent=None)
            if sha256_file(temporary) != sidecar["file"]["sha256"]:
                raise DamagedFileError(f"{temporary} changed after it was read back; run this again")
        for file, sidecar, temporary in zip(files, sidecars, temporaries, strict=True):
            # One right after the other; a reader who comes between looks again (see `sidecars`).
            os.replace(temporary, file.path)
            replace_file(sidecar_path(temporary), sidecar_path(file.path))
            remember_verified(file.path, sidecar["file"]["sha256"])
        return sidecars
    except OSError as error:
        raise DynvisionError(
            f"{description}: {files[0].path.parent} could not be written ({error}). No half file was left behind. Make "
            "room or mend the disk, then run this again."
        ) from error
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
            sidecar_path(temporary).unlink(missing_ok=True)


def _sidecar(file: BetonFile, fact: dict[str, Any], temporary: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    samples = [s for place, s in enumerate(file.samples) if place not in fact["places"]]
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
        "samples": {
            "source": [s.source for s in samples],
            "label": [s.label for s in samples],
            "group_label": [s.group_label for s in samples],
        },
    }
