"""A small dataset of the user's own: class folders of images that this project did not write."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers.configuration import edit_yaml, write_small_config

FOLDER = "data/raw/pets"


def draw_noise(path: Path, seed: str = "") -> None:
    """Write an image of its own pixels: no two names, or seeds, have the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = seed or f"{path.parent.parent.name}/{path.parent.name}/{path.name}"
    pixels = np.random.default_rng(zlib.crc32(seed.encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_pets(root: Path, count: int = 4, **settings: Any) -> Path:
    """Write a configuration and `count` images in each of two classes and splits; return the root."""

    def change(content: dict[str, Any]) -> None:
        content["data_resolution"]["pets"] = 8
        content.update(settings)

    edit_yaml(write_small_config(root / "config") / "config_data.yaml", change)
    for name in (
        f"{split}/{pet}/{n}.png" for split in ("train", "test") for pet in ("cat", "dog") for n in range(count)
    ):
        draw_noise(root / FOLDER / name)
    return root


def touch_all(folder: Path, nanoseconds: int = 10**18) -> None:
    """Give everything below a folder another modification time."""
    for path in sorted(folder.rglob("*")):
        os.utime(path, ns=(nanoseconds, nanoseconds))
