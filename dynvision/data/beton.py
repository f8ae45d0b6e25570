"""`.beton` files that are whole and checked: written beside, verified, given a sidecar, renamed.

The format itself has no checksum, and a damaged file can return black images or end the process,
so a file is opened only after it has been compared with its sidecar `<name>.beton.json`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.data.samples import Sample
from dynvision.errors import DamagedFileError, DataError, DynvisionError, MissingError
from dynvision.files import (
    check_free_space,
    make_directory,
    read_json,
    replace_file,
    sha256_file,
    temporary_sibling,
    write_json,
)

__all__ = [
    "BetonFile",
    "DamagedFileError",
    "read_sidecar",
    "require_ffcv",
    "sidecar_path",
    "verify_beton",
    "write_beton",
    "write_betons",
]

RAW_UP_TO = 64
"""Images up to this width are written as raw pixels; `jpg` loses detail that small images need."""


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
    """

    path: Path
    samples: Sequence[Sample]
    base: Path
    resolution: int
    channels: int
    record: dict[str, Any]

    @property
    def write_mode(self) -> str:
        """How pixels are stored: `raw` or `jpg`."""
        return "raw" if self.resolution <= RAW_UP_TO or self.channels == 1 else "jpg"


def require_ffcv() -> None:
    """Raise where FFCV is not installed, and say both ways out."""
    if importlib.util.find_spec("ffcv") is None:
        raise DynvisionError(
            "FFCV is not installed, and this needs it. Either set 'use_ffcv: false' in config_data.yaml (images are "
            "then read directly), or install it: 'make setup', or the system packages pkg-config, libturbojpeg and "
            "OpenCV with their headers and then 'pip install ffcv'."
        )


def sidecar_path(path: Path) -> Path:
    """The sidecar of a `.beton` file: `train.beton.json` beside `train.beton`."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the sidecar of a `.beton` file.

    Raises:
        MissingError: The file is not there.
        DamagedFileError: The sidecar is missing or unreadable.
    """
    if not path.is_file():
        raise MissingError(f"{path} does not exist. Make it: dynvision make {path}")
    sidecar = read_json(sidecar_path(path))
    whole = sidecar is not None and {"record", "file", "samples"} <= sidecar.keys()
    if sidecar is None or not whole or not {"bytes", "sha256", "samples"} <= sidecar["file"].keys():
        raise DamagedFileError(
            f"{path} has no readable sidecar {sidecar_path(path).name}, so it cannot be trusted. "
            f"Rebuild it: dynvision make --force {path}"
        )
    return sidecar


def verify_beton(path: Path | str, full: bool = False) -> dict[str, Any]:
    """Compare a `.beton` file with its sidecar; to be called before any loader opens it.

    The hash is computed once for each state of the file: size, modification time and inode of the
    last verified state are kept beside it.

    Args:
        path: The file.
        full: Compute the hash even if the file looks unchanged since it was last verified.

    Returns:
        The sidecar.

    Raises:
        MissingError: The file is not there.
        DamagedFileError: It is not the file that was written.
    """
    path = Path(path)
    sidecar = read_sidecar(path)
    expected = sidecar["file"]
    stat = path.stat()
    advice = f"Rebuild it: dynvision make --force {path}"
    if stat.st_size != expected["bytes"]:
        raise DamagedFileError(
            f"{path} is damaged: it has {stat.st_size} bytes where {expected['bytes']} were written. {advice}"
        )
    seen = path.with_name(f".{path.name}.verified")
    state = {"sha256": expected["sha256"], "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino, "bytes": stat.st_size}
    if not full and read_json(seen) == state:
        return sidecar
    if sha256_file(path) != expected["sha256"]:
        raise DamagedFileError(f"{path} is damaged: its contents are not those that were written. {advice}")
    if os.access(path.parent, os.W_OK):
        write_json(seen, state)
    return sidecar


def write_beton(
    path: Path | str,
    samples: Sequence[Sample],
    *,
    base: Path | str = ".",
    resolution: int,
    channels: int = 3,
    record: dict[str, Any] | None = None,
    timeout: float = 60.0,
) -> dict[str, Any]:
    """Write one `.beton` file with its sidecar; see `write_betons`."""
    file = BetonFile(Path(path), samples, Path(base), resolution, channels, record or {})
    return write_betons([file], timeout=timeout, description=file.path.name)[0]


def write_betons(files: Sequence[BetonFile], *, timeout: float, description: str) -> list[dict[str, Any]]:
    """Write `.beton` files, in a child process under a watchdog, and their sidecars.

    Each file is written to a temporary name, read back and compared with the images, hashed, and
    renamed. Nothing is left under the final name when something goes wrong.

    Args:
        files: What to write.
        timeout: Seconds without progress after which the writer is stopped.
        description: What the progress bar says.

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
    pixels = sum(len(f.samples) * f.resolution**2 * f.channels for f in files)
    check_free_space(files[0].path.parent, int(pixels * 1.02) + len(files) * (17 << 20), f"{description}")
    temporaries = [temporary_sibling(file.path) for file in files]
    try:
        facts = run_writer(files, temporaries, timeout=timeout, description=description)
        sidecars = [_sidecar(file, fact, temp) for file, fact, temp in zip(files, facts, temporaries, strict=True)]
        for file, sidecar, temporary in zip(files, sidecars, temporaries, strict=True):
            sidecar_path(file.path).unlink(missing_ok=True)
            replace_file(temporary, file.path)
            write_json(sidecar_path(file.path), sidecar, indent=None)
            verify_beton(file.path)
        return sidecars
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _sidecar(file: BetonFile, fact: dict[str, Any], temporary: Path) -> dict[str, Any]:
    return {
        "record": file.record,
        "file": {
            "name": file.path.name,
            "bytes": temporary.stat().st_size,
            "sha256": sha256_file(temporary),
            "pixels": fact["pixels"],
            "samples": len(file.samples),
            "resolution": file.resolution,
            "channels": file.channels,
            "write_mode": file.write_mode,
            "label_space": "original",
        },
        "samples": {
            "source": [s.source for s in file.samples],
            "label": [s.label for s in file.samples],
            "group_label": [s.group_label for s in file.samples],
        },
    }
