"""CIFAR-10 and CIFAR-100: small photographs in one archive each, which torchvision knows the files of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from dynvision.config.sections.data import DataSource
from dynvision.data.sources.archives import ArchiveSource, ImageSplit
from dynvision.data.sources.downloading import ArchiveFile
from dynvision.data.sources.pickles import read_pickle
from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["Cifar10", "Cifar100"]

_ROW = 3 * 32 * 32
"""The bytes of an image: 32 × 32 pixels of red, then green, then blue."""


class Cifar10(ArchiveSource):
    """Ten classes, 32 × 32 pixels.

    Attributes:
        torchvision_name: The class of torchvision that describes the archive.
        n_classes: How many classes it has.
    """

    name = "cifar10"
    datasets = (name,)
    torchvision_name: ClassVar[str] = "CIFAR10"
    n_classes: ClassVar[int] = 10

    @classmethod
    def files(cls, given: DataSource) -> list[ArchiveFile]:
        """List the one archive."""
        reader = cls._reader()
        return [ArchiveFile(reader.filename, (given.url or reader.url,), given.md5 or reader.tgz_md5)]

    @classmethod
    def read(cls, split: str, folder: Path) -> ImageSplit:
        """Read a split from the unpacked archive, in the order of its batches."""
        reader = cls._reader()
        base = folder / reader.base_folder
        files = reader.train_list if split == "train" else reader.test_list
        batches = [_read_batch(base / name, cls.n_classes) for name, _ in files]
        classes = _read_names(base / reader.meta["filename"], reader.meta["key"], cls.n_classes)
        images = np.concatenate([rows for rows, _ in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return ImageSplit(images, np.concatenate([labels for _, labels in batches]), classes)

    @classmethod
    def _reader(cls) -> Any:
        from torchvision import datasets

        return getattr(datasets, cls.torchvision_name)


class Cifar100(Cifar10):
    """A hundred classes, 32 × 32 pixels."""

    name = "cifar100"
    datasets = (name,)
    torchvision_name = "CIFAR100"
    n_classes = 100


def _read_batch(path: Path, n_classes: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Read the images `[N, 3072]` and labels `[N]` of one file.

    Raises:
        DataError: If they are not images of CIFAR with a label each.
    """
    content = read_pickle(path, "data")
    key = "labels" if "labels" in content else "fine_labels"
    rows, labels = content.get("data"), content.get(key)
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.shape[1] != _ROW or not len(rows):
        given = f"an array {list(rows.shape)}" if isinstance(rows, np.ndarray) else _describe(rows)
        raise DataError(f"{path.name}: its 'data' is {given}; images are an array of bytes [N, {_ROW}]")
    if not isinstance(labels, list):
        raise DataError(f"{path.name}: its '{key}' is {_describe(labels)}; labels are a list")
    if len(labels) != len(rows):
        raise DataError(f"{path.name}: it has {len(rows)} images and {len(labels)} labels")
    for number, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < n_classes:
            shown = show_text(label, 50) if isinstance(label, (int, float, str)) else _describe(label)
            raise DataError(
                f"{path.name}: the label of image {number} is {shown}; labels are whole "
                f"numbers from 0 to {n_classes - 1}"
            )
    return rows, np.asarray(labels, dtype=np.int64)


def _read_names(path: Path, key: str, n_classes: int) -> list[str]:
    """Read the names of the classes, by index.

    Raises:
        DataError: If there are not as many different names as classes.
    """
    names = read_pickle(path).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        given = "a list of other things than names" if isinstance(names, list) else _describe(names)
        raise DataError(f"{path.name}: its '{key}' is {given}; it is a list of the names of the classes")
    if len(names) != n_classes:
        raise DataError(f"{path.name}: its '{key}' has {len(names)} names, and there are {n_classes} classes")
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise DataError(f"{path.name}: its '{key}' has the name '{show_text(twice, 50)}' twice")
    return names


def _describe(value: object) -> str:
    """Say of what type a value is that should be another."""
    return "missing" if value is None else f"of type {type(value).__name__.strip('_')}"
