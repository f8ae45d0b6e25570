"""Files of exports: whole or not at all, and never over a file that is something else."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError, DynvisionError, MachineError
from dynvision.system.failures import find_machine_error
from dynvision.system.files import make_directory, replace_file, temporary_sibling

__all__ = ["EXPORTED_FROM", "ExportFile", "check_room", "written_whole"]

EXPORTED_FROM = "exported_from"
"""The attribute of a file that says which target and format it is an export of."""


def check_room(path: Path, needed: int) -> None:
    """Raise before a write that cannot fit.

    Args:
        path: The temporary file; its folder exists.
        needed: How many bytes it has at least.

    Raises:
        DynvisionError: If there is less room; says what to do.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DynvisionError(
            f"the export needs about {needed / 1e6:,.0f} MB, but {path.parent} has {free / 1e6:,.0f} MB free. Make "
            "room, name another place, or export fewer layers or conditions."
        )


class ExportFile(io.RawIOBase):
    """A file that HDF5 writes through, and to which a write never fails.

    HDF5 ends the whole process, if only at its end, after a write that failed (a full disk, a quota). So the first
    failure is kept here, from then on nothing is written, and `check` raises it.

    Args:
        path: The file, which is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w+b", buffering=0)
        self.failure: OSError | None = None

    def check(self) -> None:
        """Raise the failure, if there was one.

        Raises:
            OSError: The failure.
        """
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; what was not written is zeros."""
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def write(self, content: Any) -> int:
        """Write a content whole, unless there was a failure."""
        view, done = memoryview(content).cast("B"), 0
        while self.failure is None and done < len(view):
            try:
                done += self._file.write(view[done:])
            except OSError as error:
                self.failure = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, unless there was a failure."""
        wanted = self.tell() if size is None else size
        if self.failure is None:
            try:
                self._file.truncate(wanted)
            except OSError as error:
                self.failure = error
        return wanted

    def close(self) -> None:
        self._file.close()
        super().close()


@contextlib.contextmanager
def written_whole(path: Path, exported_from: str, *, overwrite: bool = False) -> Iterator[ExportFile]:
    """Give a temporary file to write, and put it in place at the end; after an error nothing has changed.

    Args:
        path: Where the file will be.
        exported_from: What it is an export of. Only a file that says the same of itself is replaced.
        overwrite: Replace any file.

    Yields:
        The temporary file, in the same folder.

    Raises:
        ConfigError: If another file is there already, or a folder.
        MachineError: If it cannot be written.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file.")
    if path.exists() and not overwrite and _read_origin(path) != exported_from:
        raise ConfigError(
            f"{path} exists already, and is no export of {exported_from}. Name another file, or say that it may be "
            "replaced (--overwrite, overwrite=True)."
        )
    make_directory(path.parent)
    temporary = temporary_sibling(path)
    try:
        with contextlib.closing(ExportFile(temporary)) as file:
            yield file
            file.check()
        replace_file(temporary, path)
    except OSError as error:
        refusal = find_machine_error(error)
        if refusal is None:
            raise
        raise MachineError(f"{path} could not be written: {refusal}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _read_origin(path: Path) -> str | None:
    """Return what a file says it is an export of; `None` if it says nothing, or is no netCDF file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            origin = file.attrs.get(EXPORTED_FROM)
    except OSError:
        return None
    return origin if isinstance(origin, str) else None
