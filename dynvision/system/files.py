"""Files that appear whole or not at all, and digests of content."""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import uuid
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.system.failures import is_unreadable
from dynvision.system.guards import check_guard

__all__ = [
    "check_free_space",
    "digest_json",
    "is_there",
    "make_directory",
    "read_file",
    "read_json",
    "remove_leftovers",
    "replace_directory",
    "replace_file",
    "sha256_file",
    "sync_tree",
    "temporary_sibling",
    "write_bytes",
    "write_json",
]

_CHUNK = 1 << 22


def digest_json(value: Any) -> str:
    """Return 32 hexadecimal digits of the SHA-256 of a value's canonical JSON form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path) -> bytes:
    """Read a file, but never wait for a pipe or a device that stands in its place.

    Raises:
        OSError: If it cannot be read or is no file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "a pipe, socket or device stands where a file has to be", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def is_there(path: Path) -> bool:
    """Whether there is a file, folder or link with this name.

    Raises:
        OSError: If nobody can tell, for example because a folder above may not be entered.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; `None` if there is no such file, or it does not contain a JSON object.

    Raises:
        OSError: If it is there, but cannot be read now: a permission is missing, the disk does not answer.
    """
    try:
        value = json.loads(read_file(path).decode())
    except OSError as error:
        if is_unreadable(error):
            raise
        return None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def temporary_sibling(path: Path) -> Path:
    """Name a hidden file or folder next to `path` that no other process uses."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}-{uuid.uuid4().hex[:6]}")


def make_directory(path: Path) -> Path:
    """Make a folder and its parents.

    Raises:
        DynvisionError: If the folder cannot be made or written; says what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DynvisionError(
            f"cannot make the folder {path}: {error.strerror}. Choose a place that you can write to: "
            "set DYNVISION_ROOT, or change the permissions of the folder."
        ) from error
    if not os.access(path, os.W_OK):
        raise DynvisionError(
            f"the folder {path} is not writable. Choose a place that you can write to: "
            "set DYNVISION_ROOT, or change the permissions of the folder."
        )
    return path


def replace_file(temporary: Path, path: Path) -> None:
    """Put a finished temporary file in place: fsync, rename, fsync of the folder.

    Raises:
        LockLostError: If another process has taken over the lock of the output that the file belongs to.
    """
    check_guard(path)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_directory(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    make_directory(path.parent)
    temporary = temporary_sibling(path)
    try:
        temporary.write_bytes(content)
        replace_file(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # The system does not say which file it could not write to.
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, indent: int | None = 1) -> None:
    """Write a JSON file whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=indent, ensure_ascii=False) + "\n").encode())


def replace_directory(temporary: Path, path: Path) -> None:
    """Put a finished temporary folder in place of one that this project wrote before.

    The caller has made sure that `path` is an output of this project. A reader finds either the old folder or the new
    one. Only if the system cannot exchange two folders in one step, there is an instant with neither.

    Raises:
        LockLostError: If another process has taken over the lock of the output that the folder belongs to.
    """
    check_guard(path)
    old = temporary_sibling(path)
    if path.exists() and _exchange(temporary, path):
        os.rename(temporary, old)
    else:
        if path.exists():
            os.rename(path, old)
        os.rename(temporary, path)
    _sync_directory(path.parent)
    if old.exists():
        shutil.rmtree(old)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; return whether the system can do that."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    at_current, exchange = -100, 2
    done: int = rename(at_current, os.fsencode(first), at_current, os.fsencode(second), exchange)
    return done == 0


def sync_tree(folder: Path) -> None:
    """Write a folder of files through to the disk, so that nothing is lost in a power cut after it is renamed."""
    for directory, _, names in os.walk(folder, onerror=_raise):
        for name in names:
            descriptor = os.open(Path(directory) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        _sync_directory(Path(directory))


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files and folders that a killed process left next to an output.

    The caller holds the lock of the output, so nobody else is writing.

    Raises:
        LockLostError: If another process has taken that lock over.
    """
    check_guard(path)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.partial-*"):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def check_free_space(folder: Path, needed: int, output: str) -> None:
    """Raise before a write that cannot fit.

    Args:
        folder: Where the bytes will go; it must exist.
        needed: How many bytes.
        output: The name of the output, for the message.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DynvisionError(
            f"{output} needs about {needed / 1e6:,.0f} MB, but {folder} has {free / 1e6:,.0f} MB free. "
            "Make room, set DYNVISION_ROOT to a larger disk, or record less (samples, layers, resolution)."
        )


def _raise(error: OSError) -> None:
    raise error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
