"""Files of MNIST's format that say what is not so: each is a sentence, and allocates nothing."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from dynvision.data.sources.idx_files import read_idx
from dynvision.data.sources.mnist import Mnist
from dynvision.errors import DataError
from tests.helpers.archives import (
    MNIST_FILES,
    write_mnist_files,
)

pytestmark = pytest.mark.slow


def images(*sizes: int, magic: int = 0x803, n_bytes: int | None = None) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + bytes(
        int(np.prod(sizes)) if n_bytes is None else n_bytes
    )


@pytest.mark.parametrize(
    ("pixels", "labels", "reason"),
    [
        (
            images(4_000_000_000, 28, 28, n_bytes=100),
            None,
            "says 4000000000 × 28 × 28, which is 3,136,000,000,016 bytes",
        ),
        (images(20, 28, 28, n_bytes=20 * 784 - 1), None, "is 15,696 bytes, and it has 15,695"),
        (images(20, 28, 28, n_bytes=20 * 784 + 1), None, "is 15,696 bytes, and it has 15,697"),
        (images(20, 14, 56), None, "its images are 14 × 56, not 28 × 28"),
        (images(20, 28, 28, magic=0x801), None, "it begins with 00000801; an idx file like this one with 00000803"),
        (images(20, 28, 28, magic=0xD03), None, "it begins with 00000d03"),
        (images(20)[:6], None, "it begins with 00000803|ends within its header"),
        (b"", None, "it begins with ; an idx file"),
        (images(19, 28, 28), None, "has 19 images, and t10k-labels-idx1-ubyte 20 labels"),
        (None, images(20, magic=0x801)[:-1] + b"\x0a", "the label of image 19 is 10; labels are 0 to 9"),
        (None, images(20, n_bytes=20, magic=0x803), "it begins with 00000803"),
    ],
)
def test_an_idx_file_that_lies_is_refused(tmp_path, pixels, labels, reason):
    write_mnist_files(tmp_path)
    paths = [tmp_path / name for name in MNIST_FILES["test"]]
    for path, content in zip(paths, (pixels, labels), strict=True):
        if content is not None:
            path.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=reason):
        Mnist.read_split("test", paths)
    assert not list(tmp_path.glob(".unpacked*"))


def test_a_lying_header_allocates_nothing(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(images(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, n_bytes=10))
    with pytest.raises(DataError, match="images: its header says 4294967295 × 4294967295 × 4294967295"):
        read_idx(path, 3)


def test_a_truncated_file_of_mnist_is_refused(tmp_path):
    write_mnist_files(tmp_path)
    paths = [tmp_path / name for name in MNIST_FILES["test"]]
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"{paths[0].name} has the right checksum but cannot be unpacked"):
        Mnist.read_split("test", paths)
    assert not list(tmp_path.glob(".unpacked*"))
