"""Unpacking archives from outside: only plain files and folders, inside the folder, no more than the format needs."""

from __future__ import annotations

import bz2
import gzip
import lzma
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dynvision.data.sources.members import list_tar_members, list_zip_members
from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["Limits", "unpack_archive"]

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SHORT = {".tgz": ".gz", ".tbz2": ".bz2", ".tbz": ".bz2", ".txz": ".xz"}
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        n_bytes: The size of everything in it, unpacked; the archive itself may not be larger either.
        n_members: How many files and folders it has at most.
    """

    n_bytes: int = 1 << 30
    n_members: int = 1000


def unpack_archive(archive: Path, folder: Path, limits: Limits) -> None:
    """Unpack a tar, a zip or a compressed file. Its ending says which it is.

    Only files and folders are made, with ordinary permissions. Sizes are counted while the files are written, so that
    an archive that unpacks to more than `limits` ends there. A failure may leave files in `folder`: it is the
    caller's to remove.

    Args:
        archive: `.tar`, also compressed (`.gz`, `.bz2`, `.xz`), `.zip`, or one compressed file.
        folder: An empty folder of the caller's own.
        limits: What the archive may hold.

    Raises:
        DataError: If the archive is damaged, or has a member that is a link, a device, encrypted, outside the folder,
            there twice or named as no file can be; the message says which member.
        OSError: If a file cannot be written, or the archive cannot be read.
    """
    name = archive.name.lower()
    if archive.stat().st_size > limits.n_bytes:
        raise DataError(f"it has {archive.stat().st_size:,} bytes, more than {limits.n_bytes:,}")
    suffix = Path(name).suffix
    unpacked = _Folder(folder, limits)
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            _unpack_members(list_zip_members(file), unpacked)
    elif name.endswith(_TARS):
        with _open_compressed(archive, _SHORT.get(suffix, suffix)) as stream:
            _unpack_members(list_tar_members(stream, limits.n_bytes), unpacked)
    elif suffix in _OPENERS:
        with _open_compressed(archive, suffix) as stream:
            unpacked.write(archive.name[: -len(suffix)], stream)
    else:
        raise DataError(f"its ending is none of {', '.join((*_TARS, '.zip', *_OPENERS))}")


def _open_compressed(archive: Path, suffix: str) -> IO[bytes]:
    stream: IO[bytes] = _OPENERS.get(suffix, open)(archive, "rb")
    return stream


def _unpack_members(members: Iterator[tuple[str, IO[bytes] | None]], unpacked: _Folder) -> None:
    for name, stream in members:
        if stream is None:
            unpacked.make(name)
        else:
            with stream:
                unpacked.write(name, stream)


@dataclass
class _Folder:
    """The folder that is unpacked to: counts what is written, and knows which names were used."""

    path: Path
    limits: Limits
    n_bytes: int = 0
    used: set[str] = field(default_factory=set)

    def make(self, name: str) -> None:
        """Make a folder."""
        path = self._take(name)
        if path.is_file():
            raise DataError(f"its member '{show_text(name)}' is a file and a folder")
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, stream: IO[bytes]) -> None:
        """Write a file."""
        path = self._take(name)
        if path == self.path:
            raise DataError("it has a file without a name")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise DataError(f"its member '{show_text(name)}' is a file and a folder") from error
        with file:
            while chunk := stream.read(_CHUNK):
                self.n_bytes += len(chunk)
                if self.n_bytes > self.limits.n_bytes:
                    raise DataError(
                        f"it unpacks to more than {self.limits.n_bytes:,} bytes, the most that such an archive may "
                        f"hold; the limit is reached in '{show_text(name)}'"
                    )
                file.write(chunk)

    def _take(self, name: str) -> Path:
        """Return the path of a member, once."""
        parts = _check_name(name)
        # Two names that differ in case or in the form of an accent are one file on some systems.
        key = unicodedata.normalize("NFC", "/".join(parts)).casefold()
        if key in self.used:
            raise DataError(f"its member '{show_text(name)}' is there twice")
        self.used.add(key)
        if len(self.used) > self.limits.n_members:
            raise DataError(f"it has more than {self.limits.n_members:,} files and folders")
        return self.path.joinpath(*parts)


def _check_name(name: str) -> list[str]:
    """Return the parts of a member's name.

    Raises:
        DataError: If it leads out of the folder, or no file can have it.
    """
    shown = f"its member '{show_text(name, 200)}'"
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or (len(name) > 1 and name[1] == ":" and name[0].isalpha()):
        raise DataError(f"{shown} has an absolute path")
    if ".." in name.replace("\\", "/").split("/"):
        raise DataError(f"{shown} leads out of the folder with '..'")
    if not name.isprintable() or "\\" in name:
        raise DataError(f"{shown} has a name with a character that is not allowed in file names here")
    if any(len(part.encode()) > 255 for part in parts) or len(name) > 1024:
        raise DataError(f"{shown} has a name that is too long for a file")
    return parts
