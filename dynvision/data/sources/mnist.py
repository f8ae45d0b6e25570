"""MNIST: handwritten digits in four files, images and labels of each split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynvision.config.data import DataSource
from dynvision.data.sources.archives import ArchiveSource, ImageSplit
from dynvision.data.sources.downloading import ArchiveFile
from dynvision.errors import DataError

__all__ = ["Mnist"]

_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


class Mnist(ArchiveSource):
    """The digits 0 to 9, 28 × 28 pixels, one channel."""

    name = "mnist"
    datasets = (name,)

    @classmethod
    def files(cls, given: DataSource) -> list[ArchiveFile]:
        """List the four files; the address in `given` is that of their folder."""
        from torchvision.datasets import MNIST

        names = [f"{name}.gz" for pair in _NAMES.values() for name in pair]
        unknown = [name for name in given.files if name not in names]
        if unknown:
            raise DataError(f"data_sources.mnist.files names '{unknown[0]}'; the files are {', '.join(names)}")
        checksums = {name: str(md5) for name, md5 in MNIST.resources} | given.files
        mirrors = (given.url.rstrip("/") + "/",) if given.url else tuple(MNIST.mirrors)
        return [ArchiveFile(name, tuple(mirror + name for mirror in mirrors), checksums[name]) for name in names]

    @classmethod
    def is_needed(cls, archive: Path, split: str) -> bool:
        """Whether a file is one of the two of a split."""
        return archive.stem in _NAMES[split]

    @classmethod
    def read(cls, split: str, folder: Path) -> ImageSplit:
        """Read the images and labels of a split from the unpacked files."""
        from torchvision.datasets.mnist import read_image_file, read_label_file

        images, labels = (str(folder / name) for name in _NAMES[split])
        pixels, digits = read_image_file(images).numpy(), read_label_file(labels).numpy()
        return ImageSplit(pixels, digits.astype(np.int64), [str(digit) for digit in range(10)])
