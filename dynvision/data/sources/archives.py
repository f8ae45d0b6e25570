"""Standard datasets from their archives, through torchvision's own download and checksum code."""

from __future__ import annotations

import http.client
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.config.data import DataSource
from dynvision.errors import DataError, MissingError
from dynvision.system.files import make_directory, output_lock, remove_leftovers, replace_file, temporary_sibling

__all__ = ["ARCHIVE_DATASETS", "ArchiveFile", "ImageSplit", "archive_files", "fetch_archive", "open_split"]

ARCHIVE_DATASETS = ("mnist", "cifar10", "cifar100")

_DOWNLOAD_TIMEOUT = 6 * 3600.0
"""Seconds to wait for another process that downloads the same archive."""

_MNIST_NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


@dataclass(frozen=True)
class ArchiveFile:
    """A file to download: its name, the addresses that hold it, its MD5."""

    name: str
    urls: tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class ImageSplit:
    """One split of a dataset in memory, in the archive's own order.

    Attributes:
        images: Shape `[N, H, W, 3]`, or `[N, H, W]` for one channel, uint8.
        labels: Shape `[N]`, indices in the dataset's own class order.
        classes: The classes' names by index.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    classes: list[str]

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        return ((int(label), image) for label, image in zip(self.labels, self.images, strict=True))


def archive_files(dataset: str, source: DataSource | None) -> list[ArchiveFile]:
    """The files that make up a dataset, with a source of one's own over torchvision's."""
    from torchvision import datasets

    source = source or DataSource()
    if dataset == "mnist":
        names = [f"{name}.gz" for pair in _MNIST_NAMES.values() for name in pair]
        own = {name: str(md5) for name, md5 in datasets.MNIST.resources}
        mirrors = (source.url.rstrip("/") + "/",) if source.url else tuple(datasets.MNIST.mirrors)
        unknown = [name for name in source.files if name not in names]
        if unknown:
            raise DataError(f"data_sources.mnist.files names '{unknown[0]}'; the files are {', '.join(names)}")
        return [ArchiveFile(n, tuple(m + n for m in mirrors), source.files.get(n, own[n])) for n in names]
    kind = _CIFAR[dataset]()
    url = source.url or kind.url
    return [ArchiveFile(kind.filename, (url,), source.md5 or kind.tgz_md5)]


def fetch_archive(dataset: str, folder: Path, source: DataSource | None) -> list[Path]:
    """Find a dataset's files with the right checksum, or download them.

    A file that is there with another checksum is left as it is and named in the error. Files
    that torchvision itself has put beside `folder` are used where they are.

    Args:
        dataset: One of `ARCHIVE_DATASETS`.
        folder: Where archives are kept: `data/raw/<dataset>/archive`.
        source: Where they come from instead of torchvision's addresses.

    Raises:
        DataError: A checksum is wrong.
        MissingError: The file is not there and cannot be downloaded; says where to put it.
    """
    from torchvision.datasets.utils import calculate_md5

    found = []
    for file in archive_files(dataset, source):
        path = folder / file.name
        beside = [folder.parent.parent / file.name, folder.parent.parent / "MNIST" / "raw" / file.name]
        usable = next((p for p in beside if p.is_file() and calculate_md5(p) == file.md5), None)
        if path.is_file():
            actual = calculate_md5(path)
            if actual != file.md5:
                raise DataError(_wrong_checksum(path, actual, file.md5, dataset))
        elif usable is None:
            _download(dataset, file, path)
        found.append(path if usable is None or path.is_file() else usable)
    return found


def open_split(dataset: str, split: str, archives: list[Path]) -> ImageSplit:
    """Read one split from checked archives, which are unpacked to a temporary folder.

    Only for the holder of the split's lock: what a killed process unpacked for it is removed.
    """
    from torchvision.datasets.utils import extract_archive

    beside, prefix = archives[0].parent, f".unpacked-{split}-"
    for leftover in beside.glob(f"{prefix}*"):
        shutil.rmtree(leftover)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=beside) as scratch:
        for archive in archives:
            if dataset != "mnist" or any(archive.stem == name for name in _MNIST_NAMES[split]):
                _unpack(extract_archive, archive, scratch)
        read = _read_mnist if dataset == "mnist" else _read_cifar
        try:
            return read(dataset, split, Path(scratch))
        except (RuntimeError, OSError, ValueError, LookupError, pickle.UnpicklingError) as error:
            names = ", ".join(str(archive) for archive in archives)
            raise DataError(
                f"{names}: the archive has the right checksum but not the files of {dataset} ({error}). "
                f"If the checksum is your own, correct data_sources.{dataset} in config_data.yaml; "
                "else download the file again."
            ) from error


def _unpack(extract: Callable[..., Any], archive: Path, scratch: str) -> None:
    try:
        extract(str(archive), scratch)
    except Exception as error:
        raise DataError(
            f"{archive} has the right checksum but cannot be unpacked ({error}). "
            "If the checksum is your own (data_sources), correct it; else download the file again."
        ) from error


def _read_cifar(dataset: str, split: str, scratch: Path) -> ImageSplit:
    kind = _CIFAR[dataset]()
    # The archive's checksum vouches for what is in it; a mirror's inner files have other sums.
    unchecked = type(
        f"Checked{kind.__name__}",
        (kind,),
        {
            "train_list": [[name, None] for name, _ in kind.train_list],
            "test_list": [[name, None] for name, _ in kind.test_list],
            "meta": {**kind.meta, "md5": None},
        },
    )
    data = unchecked(root=str(scratch), train=split == "train", download=False)
    return ImageSplit(data.data, np.asarray(data.targets, dtype=np.int64), list(data.classes))


def _read_mnist(dataset: str, split: str, scratch: Path) -> ImageSplit:
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images, labels = (str(scratch / name) for name in _MNIST_NAMES[split])
    pixels, targets = read_image_file(images).numpy(), read_label_file(labels).numpy()
    return ImageSplit(pixels, targets.astype(np.int64), [str(digit) for digit in range(10)])


def _cifar10() -> Any:
    from torchvision.datasets import CIFAR10

    return CIFAR10


def _cifar100() -> Any:
    from torchvision.datasets import CIFAR100

    return CIFAR100


_CIFAR = {"cifar10": _cifar10, "cifar100": _cifar100}


def _download(dataset: str, file: ArchiveFile, path: Path) -> None:
    from torchvision.datasets.utils import calculate_md5

    make_directory(path.parent)
    with output_lock(path.parent, timeout=_DOWNLOAD_TIMEOUT):
        # Both splits are made from one archive: who waited finds it there.
        if not (path.is_file() and calculate_md5(path) == file.md5):
            remove_leftovers(path)
            _fetch(dataset, file, path)


def _fetch(dataset: str, file: ArchiveFile, path: Path) -> None:
    from torchvision.datasets.utils import calculate_md5, download_url

    temporary = temporary_sibling(path)
    reasons = []
    try:
        for url in file.urls:
            try:
                download_url(url, str(temporary.parent), temporary.name)
            except (OSError, ValueError, http.client.HTTPException) as error:
                reasons.append(f"{url}: {error}")
                continue
            actual = calculate_md5(temporary)
            if actual == file.md5:
                return replace_file(temporary, path)
            reasons.append(_wrong_checksum(url, actual, file.md5, dataset))
    finally:
        temporary.unlink(missing_ok=True)
    wrong = [reason for reason in reasons if "checksum" in reason]
    if wrong:
        raise DataError(wrong[0])
    raise MissingError(
        f"{file.name} of {dataset} is not there and could not be downloaded ({'; '.join(reasons)}). "
        f"Put it at {path} (MD5 {file.md5}), or give a mirror: data_sources.{dataset} in config_data.yaml."
    )


def _wrong_checksum(where: object, actual: str, expected: str, dataset: str) -> str:
    return (
        f"{where} has the wrong checksum: MD5 {actual}, expected {expected}. Remove the file and fetch it "
        f"again; if it is the file you want, give its checksum under data_sources.{dataset} in config_data.yaml."
    )
