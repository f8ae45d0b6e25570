"""Fixtures for tests of the library. What takes seconds to make is made once a session."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dynvision.data.betons.spec import BetonFile
from dynvision.data.betons.writing import write_betons
from dynvision.data.images.samples import Sample
from tests.helpers.chains import Chain, build_chain
from tests.helpers.configuration import write_small_config


@dataclass
class Betons:
    """Written files of 12 images each: `rgb.beton` (16 px), `grey.beton` (12 px), `photo.beton` (96 px)."""

    folder: Path
    pixels: dict[str, Any] = field(default_factory=dict)
    labels: list[int] = field(default_factory=list)
    group_labels: list[int] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.beton"


@pytest.fixture(scope="session")
def betons(tmp_path_factory: pytest.TempPathFactory) -> Betons:
    """Three `.beton` files and their source images, written in one child process. Tests must not change them."""
    folder = tmp_path_factory.mktemp("betons")
    rng = np.random.default_rng(0)
    made = Betons(folder, labels=[7] * 6 + [3] * 6, group_labels=[0] * 6 + [1] * 6)
    files = []
    for name, size, channels in (("rgb", 16, 3), ("grey", 12, 1), ("photo", 96, 3)):
        smooth = rng.integers(0, 256, (12, 4, 4, 3) if name == "photo" else (12, size, size, channels), dtype=np.uint8)
        samples, images = [], []
        for index, pixels in enumerate(smooth):
            image = Image.fromarray(pixels if channels == 3 else pixels[:, :, 0]).resize((size, size))
            image.save(folder / f"{name}{index}.png")
            images.append(np.asarray(image).reshape(size, size, channels))
            samples.append(Sample(f"{name}{index}.png", made.labels[index], made.group_labels[index]))
        made.pixels[name] = np.stack(images)
        files.append(BetonFile(made.path(name), samples, folder, size, channels, {"made": "by a test"}))
    write_betons(files, timeout=60, description="fixture")
    return made


@pytest.fixture
def beton_copy(betons: Betons, tmp_path: Path) -> Path:
    """A copy of `rgb.beton` with its sidecar and its table of samples, which a test may damage."""
    for name in ("rgb.beton", "rgb.beton.json", "rgb.beton.samples.parquet"):
        shutil.copy(betons.folder / name, tmp_path / name)
    return tmp_path / "rgb.beton"


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """The whole chain on tiny gratings, built once. Tests must not change it."""
    root = tmp_path_factory.mktemp("chain")
    config = write_small_config(root / "config")
    build_chain(root, config, "summary/contrast/rcnn_gratings")
    return Chain(root, config)


@pytest.fixture
def chain_copy(chain: Chain, tmp_path: Path) -> Chain:
    """A copy of the built chain, which a test may change."""
    root = tmp_path / "root"
    shutil.copytree(chain.root, root, symlinks=True)
    return Chain(root, root / "config")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images. Tests that need it are skipped if it is not given."""
    folder = os.environ.get("DYNVISION_REAL_DATA")
    if not folder:
        pytest.skip("DYNVISION_REAL_DATA is unset: it names the folder of real images (CIFAR-100, MNIST, ImageNet)")
    path = Path(folder)
    assert path.is_dir(), f"DYNVISION_REAL_DATA names {path}, which is not a folder"
    return path
