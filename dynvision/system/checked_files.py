"""The files of an output, compared with the digests in its record before they are read."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dynvision.errors import DamagedFileError
from dynvision.system.failures import unreadable_file
from dynvision.system.file_digests import (
    HASHERS,
    FileDigest,
    digest_bytes,
    digest_file,
    recall_stamps,
    remember_stamps,
)
from dynvision.system.files import read_file

__all__ = ["CheckedFiles"]


class CheckedFiles:
    """The files of an output; each is compared with its digest in the record before it is read.

    Args:
        folder: The folder of the output.
        digests: The size and digest of each file by name, from the record.
        advice: What to do about a damaged file: a sentence that names the command.
    """

    def __init__(self, folder: Path, digests: Mapping[str, FileDigest], advice: str) -> None:
        self.folder, self.digests, self.advice = folder, dict(digests), advice
        self._recalls = True

    def check(self, name: str, *, afresh: bool = False) -> Path:
        """Compare a file with its digest.

        Args:
            name: Its name relative to the folder.
            afresh: Read it even if its stamp is known.

        Returns:
            Its path.

        Raises:
            DamagedFileError: If it is missing or is not the file that was written.
            UnreadableError: If it is there, but cannot be read.
        """
        if self._recalls:
            self._recalls = False
            recall_stamps(self.folder, self.digests)
        path = self.folder / name
        if name not in self.digests:
            raise DamagedFileError(f"{path} is not among the files in the record of {self.folder}. {self.advice}")
        wanted = self.digests[name]
        try:
            n_bytes = path.stat().st_size
            actual = digest_file(path, afresh=afresh) if n_bytes == wanted.n_bytes else FileDigest(n_bytes, "")
            if actual != wanted and n_bytes == wanted.n_bytes and not afresh:
                actual = digest_file(path, afresh=True)  # What is remembered of the file may be wrong.
        except OSError as error:
            raise self._unreadable(path, error) from error
        if actual != wanted:
            raise self._differs(path, actual.n_bytes, wanted)
        return path

    def check_all(self, *, afresh: bool = False) -> int:
        """Compare all files with their digests, and remember their stamps.

        Args:
            afresh: Read every byte, whatever the stamps say.

        Returns:
            The bytes of all files.

        Raises:
            DamagedFileError: As for `check`; the first file in order that is damaged is named.
        """
        if afresh:
            with ThreadPoolExecutor(HASHERS) as pool:
                for check in [pool.submit(self.check, name, afresh=True) for name in self.digests]:
                    check.result()
        else:
            for name in self.digests:
                self.check(name)
        self.remember()
        return sum(digest.n_bytes for digest in self.digests.values())

    def read(self, name: str) -> bytes:
        """Read a file; the bytes that are returned are those that were compared.

        Raises:
            DamagedFileError: As for `check`.
        """
        path = self.folder / name
        if name not in self.digests:
            return self.check(name).read_bytes()
        wanted = self.digests[name]
        try:
            content = read_file(path)
        except OSError as error:
            raise self._unreadable(path, error) from error
        if len(content) != wanted.n_bytes or digest_bytes(content) != wanted.xxh3:
            raise self._differs(path, len(content), wanted)
        return content

    def remember(self) -> None:
        """Remember the stamps of the files that were compared, for other processes."""
        remember_stamps(self.folder, self.digests)

    def __getstate__(self) -> tuple[Path, dict[str, FileDigest], str]:
        return self.folder, self.digests, self.advice

    def __setstate__(self, state: tuple[Path, dict[str, FileDigest], str]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # what is known of files belongs to a process

    def _unreadable(self, path: Path, error: OSError) -> DamagedFileError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return DamagedFileError(f"{path} is missing, and the record names it. {self.advice}")
        return unreadable_file(path, error, self.advice, ", and the record names it")

    def _differs(self, path: Path, n_bytes: int, wanted: FileDigest) -> DamagedFileError:
        if path.is_dir():
            what = "it is a folder, where a file was written"
        elif n_bytes != wanted.n_bytes:
            what = f"it has {n_bytes} bytes where {wanted.n_bytes} were written"
        else:
            what = "its contents are not those that were written"
        return DamagedFileError(f"{path} is damaged: {what}. {self.advice}")
