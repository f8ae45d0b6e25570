"""The members of tar and zip archives, one after the other; all that is no plain file or folder is refused."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from typing import IO

from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["list_tar_members", "list_zip_members"]

Member = tuple[str, IO[bytes] | None]
"""The name of a member and its content; `None` for a folder."""

_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_SPECIAL = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a file with holes",
}
_MODES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def list_tar_members(stream: IO[bytes], n_bytes: int) -> Iterator[Member]:
    """Yield the members of a tar. Each is read before the next one is asked for.

    Args:
        stream: The decompressed tar.
        n_bytes: How many bytes of it are read at most.

    Raises:
        DataError: If a member is no plain file or folder, or the tar is damaged or cut off.
    """
    bounded = _ForwardStream(stream, n_bytes)
    with tarfile.open(fileobj=bounded, mode="r:") as tar:
        for member in tar:
            _check_tar_member(member)
            yield member.name, (None if member.isdir() else tar.extractfile(member))
        # tarfile takes a damaged header for the end.
        if bounded.last.strip(b"\0") or (bounded.last and len(bounded.last) < _BLOCK):
            raise DataError(f"it is damaged at byte {bounded.tell():,} of the tar in it")
    while bounded.read(_CHUNK):  # to the end, where the checksum of the compressed file is
        pass


def _check_tar_member(member: tarfile.TarInfo) -> None:
    name = show_text(member.name, 200)
    if member.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        target = show_text(member.linkname, 200)
        raise DataError(f"its member '{name}' is {_SPECIAL[member.type]} to '{target}', and no file or folder")
    if member.issparse() or member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        sort = _SPECIAL.get(member.type, "a file with holes" if member.issparse() else "of an unknown type")
        raise DataError(f"its member '{name}' is {sort}, and no file or folder")
    if member.size < 0:
        raise DataError(f"its member '{name}' has a size below 0")


def list_zip_members(file: zipfile.ZipFile) -> Iterator[Member]:
    """Yield the members of a zip.

    Args:
        file: The zip, open for reading.

    Raises:
        DataError: If a member is no plain file or folder, is encrypted or is compressed in an unusual way.
    """
    for info in file.infolist():
        shown = f"its member '{show_text(info.orig_filename, 200)}'"
        sort = _MODES.get(stat.S_IFMT(info.external_attr >> 16))
        if sort is not None:
            raise DataError(f"{shown} is {sort}, and no file or folder")
        if info.flag_bits & 0x1:
            raise DataError(f"{shown} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
            raise DataError(f"{shown} is compressed with method {info.compress_type}, which is not supported")
        yield info.orig_filename, (None if info.is_dir() else file.open(info))


class _ForwardStream(io.RawIOBase):
    """A stream that is read forward only, in small parts and up to a limit; remembers the last part.

    A header of a tar gives sizes. With a negative one tarfile would go backwards and never end, and for names and
    attributes it reads as many bytes at once as the header says.
    """

    def __init__(self, stream: IO[bytes], n_bytes: int) -> None:
        self._stream = stream
        self._n_bytes = n_bytes
        self._position = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise DataError(f"it is damaged: a header at byte {self._position:,} has a length of {size:,} bytes")
        self.last = self._stream.read(size)
        self._position += len(self.last)
        if self._position > self._n_bytes + _CHUNK:
            raise DataError(f"it unpacks to more than {self._n_bytes:,} bytes, the most that such an archive may hold")
        return self.last

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise DataError(f"it is damaged: a header before byte {self._position:,} has a size below 0")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position
