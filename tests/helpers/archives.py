"""Archives of random images in the formats of CIFAR-100 and MNIST."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynvision.data.sources.cifar import Cifar100
from dynvision.errors import DataError
from tests.helpers.files import md5

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def write_cifar100_archive(path: Path, n_train: int = 200, n_test: int = 100, seed: int = 0) -> dict[str, Any]:
    """Write an archive of random images in CIFAR-100's own format, with every class.

    Returns:
        `md5`, and for `train` and `test` the images `[N, 32, 32, 3]` and labels `[N]` in the archive's order.
    """
    rng = np.random.default_rng(seed)
    written: dict[str, Any] = {}
    with tarfile.open(path, "w:gz") as archive:
        for split, count in (("train", n_train), ("test", n_test)):
            images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
            labels = rng.permutation(np.arange(count) % 100)
            rows = images.transpose(0, 3, 1, 2).reshape(count, -1)
            content = {"data": rows, "fine_labels": labels.tolist(), "coarse_labels": [0] * count, "filenames": []}
            _add_pickle(archive, f"cifar-100-python/{split}", content)
            written[split] = (images, labels)
        meta = {"fine_label_names": [f"thing{i:02d}" for i in range(100)], "coarse_label_names": []}
        _add_pickle(archive, "cifar-100-python/meta", meta)
    return {"md5": md5(path), **written}


def write_mnist_files(folder: Path, n_train: int = 40, n_test: int = 20, seed: int = 0) -> dict[str, Any]:
    """Write random digits in MNIST's own format.

    Returns:
        `files` (the MD5 of each), and for `train` and `test` the images `[N, 28, 28]` and labels `[N]`.
    """
    rng = np.random.default_rng(seed)
    written: dict[str, Any] = {"files": {}}
    for split, count in (("train", n_train), ("test", n_test)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents = (
            struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes(),
            struct.pack(">II", 0x801, count) + labels.tobytes(),
        )
        for name, content in zip(MNIST_FILES[split], contents, strict=True):
            (folder / name).write_bytes(gzip.compress(content, mtime=0))
            written["files"][name] = md5(folder / name)
        written[split] = (images, labels.astype(np.int64))
    return written


def _add_pickle(archive: tarfile.TarFile, name: str, content: Any) -> None:
    data = pickle.dumps(content)
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


NAME = "cifar-100-python.tar.gz"


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def write_tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, members: list[tuple[Any, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for info, content in members:
            file.writestr(info, content)
    return path


def assert_refused(path: Path, reason: str) -> None:
    """Reading a split of CIFAR-100 from the archive fails for a reason, and leaves the folder as it was."""
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(DataError) as caught:
        Cifar100.read_split("train", [path])
    message = str(caught.value)
    assert message.startswith(f"{path} has the right checksum but cannot be unpacked (")
    assert reason in message
    assert "data_sources" in message
    assert "\n" not in message
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert not (path.parent.parent / "evil").exists()
