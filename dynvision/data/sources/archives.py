"""Datasets that are downloaded as archives; torchvision knows their addresses and checksums."""

from __future__ import annotations

import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dynvision.config.sections.data import DataSource
from dynvision.data.sources.base import ExportedSource
from dynvision.data.sources.downloading import ArchiveFile, fetch_files
from dynvision.data.sources.unpacking import Limits, unpack_archive
from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["ArchiveSource", "ImageSplit"]


@dataclass(frozen=True)
class ImageSplit:
    """One split of a dataset in memory, in the archive's own order.

    Attributes:
        images: Shape `[N, H, W, 3]`, or `[N, H, W]` for one channel, uint8.
        labels: Shape `[N]`, int64, indices in the dataset's own class order.
        classes: The names of the classes, by index.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        return ((int(label), image) for label, image in zip(self.labels, self.images, strict=True))


class ArchiveSource(ExportedSource):
    """A dataset that is downloaded. A subclass says which files it is and how they are read.

    Attributes:
        name: The name of the dataset.
        limits: What one of its archives may hold at most.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits] = Limits()

    @classmethod
    @abstractmethod
    def files(cls, given: DataSource) -> list[ArchiveFile]:
        """List the files of the dataset.

        Args:
            given: The user's own addresses and checksums, which replace those of torchvision.

        Raises:
            DataError: If `given` names a file that the dataset does not have.
        """

    @classmethod
    @abstractmethod
    def read(cls, split: str, folder: Path) -> ImageSplit:
        """Read a split from a folder of unpacked archives.

        Raises:
            DataError: If a file is not what the format says; the message begins with the name of the file.
            OSError: If a file does not exist or cannot be read.
        """

    @classmethod
    def is_needed(cls, archive: Path, split: str) -> bool:
        """Whether an archive contains anything of a split."""
        return True

    @classmethod
    def fetch(cls, folder: Path, given: DataSource) -> list[Path]:
        """Find the files of the dataset, or download them; see `fetch_files`.

        Args:
            folder: Where archives are kept: `data/raw/<dataset>/archive`.
            given: The user's own addresses and checksums.

        Raises:
            DataError: If a checksum is wrong.
            MissingError: If a file does not exist and cannot be downloaded.
        """
        return fetch_files(cls.files(given), folder, cls.name)

    @classmethod
    def read_split(cls, split: str, archives: list[Path]) -> ImageSplit:
        """Unpack checked archives to a temporary folder and read one split.

        The caller holds the lock of the split: what a killed process unpacked for it is removed.

        Raises:
            DataError: If an archive cannot be unpacked, or does not contain the files of the dataset. Nothing that
                was unpacked is left then, as otherwise.
        """
        base, prefix = archives[0].parent, f".unpacked-{split}-"
        for leftover in base.glob(f"{prefix}*"):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=base) as scratch:
            for archive in archives:
                if cls.is_needed(archive, split):
                    _unpack(archive, Path(scratch), cls.limits)
            try:
                return cls.read(split, Path(scratch))
            except (OSError, ValueError, MemoryError) as error:
                names = ", ".join(str(archive) for archive in archives if cls.is_needed(archive, split))
                raise DataError(
                    f"{names}: the archive has the right checksum but not the files of {cls.name} "
                    f"({_describe(error, Path(scratch))}). "
                    f"If the checksum is your own, correct data_sources.{cls.name} in config_data.yaml; "
                    "otherwise download the file again."
                ) from error

    def settings(self, split: str) -> dict[str, Any]:
        """Return the user's own checksums, if there are any."""
        given = self._given()
        return {key: value for key, value in (("md5", given.md5), ("files", given.files)) if value}

    def open(self, split: str) -> ImageSplit:
        """Read a split, from archives that are downloaded if they do not exist."""
        archives = self.fetch(self.paths.raw(self.dataset) / "archive", self._given())
        return self.read_split(split, archives)

    def _given(self) -> DataSource:
        return self.config.data.data_sources.get(self.dataset, DataSource())


def _describe(error: Exception, scratch: Path) -> str:
    """Say what is wrong without the name of the temporary folder."""
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no '{Path(error.filename).relative_to(scratch)}' in it"
    return show_text(error) or type(error).__name__


def _unpack(archive: Path, folder: Path, limits: Limits) -> None:
    try:
        unpack_archive(archive, folder, limits)
    except Exception as error:  # the modules that read archives raise what they come across in damaged ones
        reason = str(error) if isinstance(error, DataError) else show_text(error, 200) or type(error).__name__
        raise DataError(
            f"{archive} has the right checksum but cannot be unpacked ({reason}). "
            "If the checksum is your own (data_sources), correct it; otherwise download the file again."
        ) from error
