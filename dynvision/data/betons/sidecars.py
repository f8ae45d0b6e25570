"""The sidecar of a `.beton` file, and whether the file is still the one that it describes."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dynvision.errors import DamagedFileError, MissingError
from dynvision.system.files import read_json, sha256_file, write_json

__all__ = [
    "changed_while_read",
    "file_state",
    "read_sidecar",
    "read_sidecar_head",
    "remember_verified",
    "seal_sidecar",
    "sidecar_path",
    "verify_beton",
]

Found = TypeVar("Found")


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
    if sidecar.get("digest") is None or sidecar["digest"] != _digest(sidecar):
        raise DamagedFileError(
            f"{sidecar_path(path)} is damaged: its labels, sources or settings are not those that were written. "
            f"Rebuild it: dynvision make --force {path}"
        )
    return sidecar


def seal_sidecar(content: dict[str, Any]) -> dict[str, Any]:
    """Add the digest by which `read_sidecar` knows `record`, `file` and `samples` again."""
    return {
        "record": content["record"],
        "file": content["file"],
        "digest": _digest(content),
        "samples": content["samples"],
    }


def _digest(content: dict[str, Any]) -> str | None:
    """A digest of all that a sidecar says; `None` where it says something impossible."""
    try:
        parts = [content["record"], content["file"], sorted(content["samples"])]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for name, column in sorted(content["samples"].items()):  # of a million samples, in a fraction of a second
            digest.update(f"{name},{len(column)};".encode())
            digest.update("\0".join(column).encode() if name == "source" else np.asarray(column, np.int64).tobytes())
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return digest.hexdigest()[:32]


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
    state = {"sha256": expected["sha256"], **file_state(path)}
    if not full and read_json(_note(path)) == state:
        return sidecar
    if sha256_file(path) != expected["sha256"]:
        raise DamagedFileError(f"{path} is damaged: its contents are not those that were written. {advice}")
    remember_verified(path, expected["sha256"])
    return sidecar


def remember_verified(path: Path, sha256: str) -> None:
    """Note beside a file that it holds what was written, for as long as its state does not change."""
    if os.access(path.parent, os.W_OK):
        write_json(_note(path), {"sha256": sha256, **file_state(path)})


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


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
