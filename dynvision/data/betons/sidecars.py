"""The sidecar of a `.beton` file, and whether the file is still the one that it describes.

The sidecar is two files: `<name>.beton.json`, small, with the record and the facts of the file, and the table of
samples `<name>.beton.samples.parquet`, whose digest the first contains. A sidecar of an earlier version is one JSON
file that contains the table.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dynvision.data.betons.sample_table import digest_old_sidecar, read_table, table_path
from dynvision.errors import DamagedFileError, DynvisionError, MissingError
from dynvision.paths import name_processed
from dynvision.system.failures import as_unreadable, unreadable_file
from dynvision.system.file_digests import note_places
from dynvision.system.files import digest_json, is_there, read_json, sha256_file, write_json

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

Outcome = TypeVar("Outcome")

_RECENT, _SETTLING = 10.0, 0.3
"""Files that were written so many seconds ago may be about to be replaced, for so many seconds."""


def sidecar_path(path: Path) -> Path:
    """Return the sidecar of a `.beton` file: `train.beton.json` next to `train.beton`."""
    return path.with_name(path.name + ".json")


def read_sidecar(path: Path) -> dict[str, Any]:
    """Read the sidecar of a `.beton` file with its table of samples.

    Returns:
        `record`, `file` and `samples` (lists `source`, `label` and `group_label`).

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If the sidecar or its table is missing, unreadable or not as written.
    """
    return _settled(path, lambda: _read_whole(path))


def _read_whole(path: Path, with_samples: bool = True) -> dict[str, Any]:
    if not is_there(path):
        raise MissingError(f"{path} does not exist. Make it: dynvision make {path}")
    if not path.is_file():
        raise DamagedFileError(f"{path} is damaged: it is not a file that can be read. {_advice(path)}")
    try:
        sidecar = read_json(sidecar_path(path))
    except OSError as error:
        raise unreadable_file(sidecar_path(path), error, _advice(path)) from error
    if sidecar is None or not _is_complete(sidecar):
        raise DamagedFileError(
            f"{path} has no readable sidecar {sidecar_path(path).name}, so it cannot be trusted. {_advice(path)}"
        )
    digest = digest_old_sidecar(sidecar) if "samples" in sidecar else _digest(sidecar)
    if sidecar.get("digest") is None or sidecar["digest"] != digest:
        raise DamagedFileError(
            f"{sidecar_path(path)} is damaged: its labels, sources or settings are not those that were written. "
            f"{_advice(path)}"
        )
    if sidecar["file"].get("name") != path.name:
        raise DamagedFileError(
            f"{sidecar_path(path)} belongs to {sidecar['file'].get('name')}, not to {path.name}: files were swapped or "
            f"renamed. {_advice(path)}"
        )
    target, wanted = sidecar["record"].get("target"), name_processed(path)
    if target is not None and wanted is not None and target != wanted:
        raise DamagedFileError(
            f"{sidecar_path(path)} belongs to {target}, not to {wanted}: files were swapped, moved or copied. "
            f"{_advice(path)}"
        )
    if "samples" in sidecar:
        return sidecar
    samples = _read_samples(path, sidecar["table"], with_samples)
    return {**sidecar, "samples": samples} if with_samples else sidecar


def _is_complete(sidecar: dict[str, Any]) -> bool:
    """Check that a sidecar has all parts, with its table inside (as written before) or next to it."""
    if not _has_parts(sidecar):
        return False
    table = sidecar.get("table")
    has_table = "samples" in sidecar or (isinstance(table, dict) and {"bytes", "sha256"} <= table.keys())
    return has_table and {"bytes", "sha256", "samples"} <= sidecar["file"].keys()


def _has_parts(sidecar: dict[str, Any]) -> bool:
    return isinstance(sidecar.get("record"), dict) and isinstance(sidecar.get("file"), dict)


def _read_samples(path: Path, table: dict[str, Any], with_samples: bool) -> dict[str, list[Any]]:
    try:
        samples = read_table(path, table["sha256"], with_samples)
    except OSError as error:
        reason = "" if isinstance(error, FileNotFoundError) else f" that can be read ({error.strerror})"
        text = f"{path} has no table of samples {table_path(path).name}{reason}, so it cannot be trusted"
        raise as_unreadable(error, text) or DamagedFileError(f"{text}. {_advice(path)}") from None
    if samples is None:
        raise DamagedFileError(
            f"{table_path(path)} is damaged or belongs to another file: its labels and sources are not those that were "
            f"written. {_advice(path)}"
        )
    return samples


def _advice(path: Path) -> str:
    return f"Rebuild it: dynvision make --force {path}"


def seal_sidecar(content: dict[str, Any]) -> dict[str, Any]:
    """Add the digest by which `read_sidecar` recognizes `record`, `file` and `table` (see `write_table`)."""
    sealed = {name: content[name] for name in ("record", "file", "table")}
    return {**sealed, "digest": _digest(sealed)}


def _digest(content: dict[str, Any]) -> str:
    return digest_json([content["record"], content["file"], content["table"]])


def read_sidecar_head(path: Path) -> dict[str, Any] | None:
    """Read the sidecar of a `.beton` file without its table of samples, which may be very long.

    Args:
        path: The `.beton` file.

    Returns:
        `record` and `file`; `None` if there is no such file, or it has no sidecar.

    Raises:
        DamagedFileError: If the sidecar is not as written, or the file has another size.
    """
    try:
        if not is_there(path) or not is_there(sidecar_path(path)):
            return None
    except OSError as error:
        raise unreadable_file(path, error, _advice(path)) from error
    return _settled(path, lambda: _check_size(path, _read_whole(path, with_samples=False)))


def verify_beton(path: Path | str, full: bool = False, with_samples: bool = True) -> dict[str, Any]:
    """Compare a `.beton` file with its sidecar. Call this before any loader opens the file.

    The hash is computed once for each state of the file: size, times and inode of the last verified state are kept
    next to it.

    Args:
        path: The file.
        full: Compute the hash even if the file looks unchanged since it was last verified.
        with_samples: Return the table of samples, too; it is compared in any case.

    Returns:
        The sidecar, see `read_sidecar`.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is not the file that was written.
    """
    file = Path(path)
    return _settled(file, lambda: _compare(file, full, with_samples))


def _settled(path: Path, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Read a file and its sidecar. While another process replaces them, they are not damaged: read again."""

    def attempt() -> dict[str, Any] | DamagedFileError:
        try:
            return read()
        except DamagedFileError as error:
            return error

    outcome = _when_settled(path, attempt, lambda outcome: isinstance(outcome, dict))
    if isinstance(outcome, DamagedFileError):
        raise outcome
    return outcome


def _when_settled(path: Path, read: Callable[[], Outcome], is_whole: Callable[[Outcome], bool]) -> Outcome:
    """Read a file and its sidecar. If they do not match, read again for as long as another process replaces them."""
    for _ in range(100):
        before = _states(path)
        outcome = read()
        if is_whole(outcome) or before[0]["bytes"] < 0 or _stay_the_same(path, before):
            return outcome
    return outcome


def _stay_the_same(path: Path, before: list[dict[str, int]]) -> bool:
    """Wait whether files change. Between those that have just been written, a busy disk may take its time."""
    newest = max(
        (file.stat().st_mtime for file in (table_path(path), sidecar_path(path)) if file.exists()), default=0.0
    )
    deadline = time.monotonic() + (_SETTLING if abs(time.time() - newest) < _RECENT else 0.02)
    while time.monotonic() < deadline:
        time.sleep(0.02)
        if _states(path) != before:
            return False
    return True


def _states(path: Path) -> list[dict[str, int]]:
    return [file_state(file) for file in (path, table_path(path), sidecar_path(path))]


def _check_size(path: Path, sidecar: dict[str, Any]) -> dict[str, Any]:
    size, expected = path.stat().st_size, sidecar["file"]["bytes"]
    if size != expected:
        raise DamagedFileError(f"{path} is damaged: it has {size} bytes where {expected} were written. {_advice(path)}")
    return sidecar


def _compare(path: Path, full: bool, with_samples: bool) -> dict[str, Any]:
    sidecar = _check_size(path, _read_whole(path, with_samples))
    expected = sidecar["file"]
    state = {"sha256": expected["sha256"], **file_state(path)}
    if not full and any(_read_note(note) == state for note in note_places(_note(path))):
        return sidecar
    if sha256_file(path) != expected["sha256"]:
        raise DamagedFileError(f"{path} is damaged: its contents are not those that were written. {_advice(path)}")
    remember_verified(path, expected["sha256"])
    return sidecar


def remember_verified(path: Path, sha256: str) -> None:
    """Note that a file contains what was written; the note counts until the file's state changes."""
    for note in note_places(_note(path)):
        with contextlib.suppress(OSError, DynvisionError):  # Without a note the file is hashed again, no more.
            write_json(note, {"sha256": sha256, **file_state(path)})
            return


def _read_note(note: Path) -> dict[str, Any] | None:
    try:
        return read_json(note)
    except OSError:  # Without a note the file is hashed again, no more.
        return None


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def file_state(path: Path) -> dict[str, int]:
    """Return size, times and inode of a file: one of them differs after a change or a replacement.

    Returns:
        `bytes`, `mtime_ns`, `ctime_ns` and `inode`; only `bytes`, as -1, if there is no such file.
    """
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return {"bytes": -1}
    return {
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
        "bytes": stat.st_size,
    }


def changed_while_read(path: Path) -> DamagedFileError:
    """Make the error of a file that changed after it was opened."""
    return DamagedFileError(
        f"{path} was changed or replaced while it was read, so nothing that was read of it counts. Check it "
        f"(dynvision verify {path}), then run this again."
    )
