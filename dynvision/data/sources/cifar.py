"""CIFAR-10 and CIFAR-100: small photographs in one archive each, which torchvision reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dynvision.config.data import DataSource
from dynvision.data.sources.archives import ArchiveSource, ImageSplit
from dynvision.data.sources.downloading import ArchiveFile

__all__ = ["Cifar10", "Cifar100"]


class Cifar10(ArchiveSource):
    """Ten classes, 32 × 32 pixels.

    Attributes:
        torchvision_name: The class of torchvision that reads the archive.
    """

    name = "cifar10"
    datasets = (name,)
    torchvision_name: ClassVar[str] = "CIFAR10"

    @classmethod
    def files(cls, given: DataSource) -> list[ArchiveFile]:
        """List the one archive."""
        reader = cls._reader()
        return [ArchiveFile(reader.filename, (given.url or reader.url,), given.md5 or reader.tgz_md5)]

    @classmethod
    def read(cls, split: str, folder: Path) -> ImageSplit:
        """Read a split from the unpacked archive."""
        reader = cls._reader()
        # The archive itself was compared with its checksum. The files inside a mirror's archive may have other ones.
        unchecked = type(
            f"Checked{reader.__name__}",
            (reader,),
            {
                "train_list": [[name, None] for name, _ in reader.train_list],
                "test_list": [[name, None] for name, _ in reader.test_list],
                "meta": {**reader.meta, "md5": None},
            },
        )
        data = unchecked(root=str(folder), train=split == "train", download=False)
        return ImageSplit(data.data, np.asarray(data.targets, dtype=np.int64), list(data.classes))

    @classmethod
    def _reader(cls) -> Any:
        from torchvision import datasets

        return getattr(datasets, cls.torchvision_name)


class Cifar100(Cifar10):
    """A hundred classes, 32 × 32 pixels."""

    name = "cifar100"
    datasets = (name,)
    torchvision_name = "CIFAR100"
