"""A response store as its record names it: each file is compared with its digest before it is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from dynvision.errors import DamagedFileError
from dynvision.experiments.stores.store import RECORD
from dynvision.records import read_record

if TYPE_CHECKING:
    from dynvision.system.checked_files import CheckedFiles

__all__ = ["RecordedStore"]


class RecordedStore(LocalStore):
    """The files of a store, and no others; read-only, and lazy.

    A file that the record names is compared with its digest each time before it is read; it is hashed if its stamp is
    not a known one. If it is missing, that is an error; Zarr itself would read fill values. A file that the record does
    not name does not exist for a reader.

    Args:
        files: The files in the record, and the folder they are in.
    """

    supports_writes = False
    supports_deletes = False

    def __init__(self, files: CheckedFiles) -> None:
        super().__init__(files.folder, read_only=True)
        self.files = files

    def with_read_only(self, read_only: bool = False) -> RecordedStore:
        """Return the same store, which is always read-only."""
        if not read_only:
            raise ValueError(f"{self.root} holds recorded responses, which are not written")
        return type(self)(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordedStore) and self.files.folder == other.files.folder

    def __hash__(self) -> int:
        return hash(self.files.folder)

    def get_sync(self, key: str, **options: Any) -> Buffer | None:
        """Read a file; `None` if the record does not name it.

        Raises:
            DamagedFileError: If it is missing or not the file that was written.
        """
        if key not in self.files.digests:
            return None
        self._check(key)
        return super().get_sync(key, **options)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """See `get_sync`."""
        if key not in self.files.digests:
            return None
        await asyncio.to_thread(self._check, key)
        return await super().get(key, prototype, byte_range)

    def _check(self, key: str) -> None:
        try:
            self.files.check(key)
        except DamagedFileError:
            try:
                record = read_record(self.root / RECORD)
            except DamagedFileError:
                record = None
            if record is not None and record.files != self.files.digests:
                raise DamagedFileError(
                    f"{self.root} was made again since it was opened, so what was opened is gone. Load it again."
                ) from None
            raise

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """See `get_sync`."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether the record names a file."""
        return key in self.files.digests

    async def list(self) -> AsyncIterator[str]:
        """List the files that the record names."""
        for name in self.files.digests:
            yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List those whose names begin with a prefix."""
        for name in self.files.digests:
            if name.startswith(prefix):
                yield name

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the names directly below a folder."""
        base = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        inside = (name.removeprefix(base) for name in self.files.digests if name.startswith(base))
        for name in dict.fromkeys(name.partition("/")[0] for name in inside):
            yield name
