"""Images to measure with: CIFAR-100 if DYNVISION_REAL_DATA names a folder with its archive, otherwise random images."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

ARCHIVE = "cifar-100-python.tar.gz"

Images = npt.NDArray[np.uint8]


def real_data() -> Path | None:
    """The folder that holds the archive of CIFAR-100; `None` if DYNVISION_REAL_DATA is not set."""
    folder = os.environ.get("DYNVISION_REAL_DATA")
    return Path(folder) if folder else None


def real_images(split: str) -> tuple[Images, list[int]] | None:
    """Read a split of CIFAR-100.

    Returns:
        The images, `[N, 32, 32, 3]`, and their labels; `None` if DYNVISION_REAL_DATA is not set.
    """
    folder = real_data()
    if folder is None:
        print("DYNVISION_REAL_DATA is not set: smooth random images are used instead of CIFAR-100")
        return None
    with tarfile.open(folder / ARCHIVE) as archive:
        member = archive.extractfile(f"cifar-100-python/{split}")
        assert member is not None
        content = pickle.load(member, encoding="latin1")
    images = content["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), content["fine_labels"]


def smooth_images(count: int) -> Images:
    """Draw random images, `[count, 32, 32, 3]`, that are smooth and so compress about as well as photographs."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(image).resize((32, 32))) for image in coarse])
