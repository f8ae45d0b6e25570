"""MNIST: handwritten digits in four files, images and labels of each split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynvision.config.sections.data import DataSource
from dynvision.data.sources.archives import ArchiveSource, ImageSplit
from dynvision.data.sources.downloading import ArchiveFile
from dynvision.data.sources.idx_files import read_idx
from dynvision.errors import DataError

__all__ = ["Mnist"]

_SIZE = 28
"""Width and height of an image in pixels."""

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
        images, labels = (folder / name for name in _NAMES[split])
        pixels, digits = read_idx(images, 3), read_idx(labels, 1)
        if pixels.shape[1:] != (_SIZE, _SIZE):
            raise DataError(
                f"{images.name}: its images are {pixels.shape[1]} × {pixels.shape[2]}, not {_SIZE} × {_SIZE}"
            )
        if len(pixels) != len(digits) or not len(pixels):
            raise DataError(f"{images.name} has {len(pixels)} images, and {labels.name} {len(digits)} labels")
        if digits.max() > 9:
            number = int(digits.argmax())
            raise DataError(f"{labels.name}: the label of image {number} is {digits[number]}; labels are 0 to 9")
        return ImageSplit(pixels, digits.astype(np.int64), [str(digit) for digit in range(10)])
