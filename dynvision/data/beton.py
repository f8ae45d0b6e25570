"""`.beton` files that are whole and checked: written beside, verified, given a sidecar, renamed.

The format itself has no checksum, and a damaged file can return black images or end the process,
so a file is opened only after it has been compared with its sidecar `<name>.beton.json`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dynvision.data.samples import Sample
from dynvision.errors import DamagedFileError, DataError, DynvisionError, MissingError, unknown_name
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

Found = TypeVar("Found")

WRITE_MODES = ("raw", "jpg", "smart", "proportion", "bytes")
"""How pixels can be stored: as they are; as JPEG; as JPEG where that is much smaller; half of the images as
JPEG; or the source's own JPEG bytes, unchanged and at their own size."""


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


def read_sidecar_head(path: Path) -> dict[str, Any] | None:
    """Read `record` and `file` of a sidecar, and not its table of samples, which may be very long.

    Args:
        path: The `.beton` file.

    Returns:
        Both; `None` where there is no sidecar or it is not whole.
    """
    return _when_settled(path, lambda: _read_head(path), lambda found: found is not None)


def _read_head(path: Path) -> dict[str, Any] | None:
    try:
        with sidecar_path(path).open("rb") as file:
            file.seek(-min(2, file.seek(0, os.SEEK_END)), os.SEEK_END)
            if file.read().rstrip() != b"}":
                return None
            file.seek(0)
            text = b""
            while b'"samples": {"source"' not in text and (more := file.read(1 << 18)):
                text += more
    except (FileNotFoundError, NotADirectoryError):
        return None
    head, mark, _ = text.partition(b', "samples": {"source"')
    try:
        found = json.loads(head + b"}") if mark else json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"record", "file"} <= found.keys() else None


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
    place = Path(path)
    found = _when_settled(place, lambda: _verify(place, full), lambda outcome: isinstance(outcome, dict))
    if isinstance(found, DamagedFileError):
        raise found
    return found


def _when_settled(path: Path, read: Callable[[], Found], is_whole: Callable[[Found], bool]) -> Found:
    """Read a file and its sidecar; where they do not fit, again for as long as somebody is replacing them."""
    for _ in range(100):
        before = (file_state(path), file_state(sidecar_path(path)))
        found = read()
        if is_whole(found) or before[0]["bytes"] < 0:
            return found
        time.sleep(0.02)
        if (file_state(path), file_state(sidecar_path(path))) == before:
            return found
    return found


def _verify(path: Path, full: bool) -> dict[str, Any] | DamagedFileError:
    try:
        return _compare(path, full)
    except DamagedFileError as error:
        return error


def _compare(path: Path, full: bool) -> dict[str, Any]:
    sidecar = read_sidecar(path)
    expected = sidecar["file"]
    stat = path.stat()
    advice = f"Rebuild it: dynvision make --force {path}"
    if stat.st_size != expected["bytes"]:
        raise DamagedFileError(
            f"{path} is damaged: it has {stat.st_size} bytes where {expected['bytes']} were written. {advice}"
        )
    seen = path.with_name(f".{path.name}.verified")
    state = {"sha256": expected["sha256"], **file_state(path)}
    if not full and read_json(seen) == state:
        return sidecar
    if sha256_file(path) != expected["sha256"]:
        raise DamagedFileError(f"{path} is damaged: its contents are not those that were written. {advice}")
    if os.access(path.parent, os.W_OK):
        write_json(seen, state)
    return sidecar


def file_state(path: Path) -> dict[str, int]:
    """What tells that a file was changed or replaced: size, modification time and inode."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {"bytes": -1}
    return {"mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino, "bytes": stat.st_size}


def changed_while_read(path: Path) -> DamagedFileError:
    """The error of a file that is not any more what it was when it was opened."""
    return DamagedFileError(
        f"{path} was changed or replaced while it was read, so nothing that was read of it counts. Check it "
        f"(dynvision verify {path}), then run this again."
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
    pixels = sum(len(f.samples) * f.resolution**2 * f.channels for f in files)
    check_free_space(files[0].path.parent, int(pixels * 1.02) + len(files) * (17 << 20), f"{description}")
    temporaries = [temporary_sibling(file.path) for file in files]
    try:
        facts = run_writer(files, temporaries, timeout, description, max_bad_images)
        for file, fact in zip(files, facts, strict=True):  # by the sources' own names: a root may be moved
            named = {str(file.base / sample.source): sample.source for sample in file.samples}
            fact["left_out"] = [[named[path], reason] for path, reason in fact["left_out"]]
        left_out = [bad for fact in facts for bad in fact["left_out"]]
        record = finish_record(left_out) if finish_record is not None else None
        sidecars = [
            _sidecar(file, fact, temporary, record)
            for file, fact, temporary in zip(files, facts, temporaries, strict=True)
        ]
        for file, sidecar, temporary in zip(files, sidecars, temporaries, strict=True):
            beside = sidecar_path(temporary)
            write_json(beside, sidecar, indent=None)
            with temporary.open("rb") as content:
                os.fsync(content.fileno())
            # One right after the other; a reader who comes between looks again (see `_when_settled`).
            os.replace(temporary, file.path)
            replace_file(beside, sidecar_path(file.path))
            verify_beton(file.path)
        return sidecars
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
            sidecar_path(temporary).unlink(missing_ok=True)


def _sidecar(file: BetonFile, fact: dict[str, Any], temporary: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    bad = {path for path, _ in fact["left_out"]}
    samples = [s for s in file.samples if s.source not in bad]
    return {
        "record": file.record if record is None else record,
        "file": {
            "name": file.path.name,
            "bytes": temporary.stat().st_size,
            "sha256": sha256_file(temporary),
            "pixels": fact["pixels"],
            "samples": len(samples),
            "resolution": file.resolution,
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
