"""A dataset given as a class by import path."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.config import load_config
from dynvision.data.images.converting import as_pixels
from dynvision.data.sources.class_path import open_own_dataset
from dynvision.errors import ConfigError, DataError
from dynvision.workspace import Workspace
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml

pytestmark = pytest.mark.slow

SOURCE = """
    import numpy as np
    import torch
    from pathlib import Path
    from torch.utils.data import Dataset

    class Blobs(Dataset):
        classes = ["dark", "bright"]

        def __init__(self, root, split, transform=None, count=6):
            self.base = int((Path(root) / "base.txt").read_text())
            self.count = count if split == "train" else 4

        def __len__(self):
            return self.count

        def __getitem__(self, index):
            value = self.base + 100 * (index % 2) + index + (20 if self.count == 8 else 0)
            return np.full((16, 16, 3), value, dtype=np.uint8), index % 2

    class Tensors(Dataset):
        def __init__(self, train=True):
            self.targets = [0, 2, 1]

        def __len__(self):
            return 3

        def __getitem__(self, index):
            return torch.full((3, 8, 8), index / 2), self.targets[index]

    class Unsplit(Tensors):
        def __init__(self):
            super().__init__()

    class Standardized(Tensors):
        def __getitem__(self, index):
            return torch.full((3, 8, 8), -1.0), 0
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module in the root. Its name differs between tests, because a module is imported only once."""
    name = f"own_datasets_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.fixture
def blobs(tmp_path: Path, small_config: Path, module: str) -> Workspace:
    folder = tmp_path / "data" / "external" / "blobs"
    folder.mkdir(parents=True)
    (folder / "base.txt").write_text("40")

    def change(content: dict[str, Any]) -> None:
        content["data_resolution"]["blobs"] = 16
        content["data_sources"] = {"blobs": {"class": f"{module}:Blobs", "args": {"count": 8}}}

    edit_yaml(small_config / "config_data.yaml", change)
    return Workspace.open(tmp_path, small_config)


def test_images_of_the_class_are_exported_with_their_labels_and_reach_the_beton(blobs):
    from dynvision.data.betons.sidecars import read_sidecar
    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    root, config = blobs.paths.root, blobs.config.folder
    build_chain(root, config, "processed/blobs:train_all", "processed/blobs:test_all")
    exported = sorted(str(p.relative_to(root / "data/raw/blobs")) for p in (root / "data/raw/blobs").rglob("*.png"))
    assert exported[:2] == ["test/0/00000.png", "test/0/00002.png"]
    assert len(exported) == 12
    path = root / "data" / "processed" / "blobs" / "test_all" / "test.beton"
    loader = get_ffcv_dataloader(path, 1, dtype=torch.uint8)
    values = [int(images[0, 0, 0, 0]) for images, _, _ in loader.iterate_images()]
    assert values == [40, 42, 141, 143]
    assert read_sidecar(path)["samples"]["label"] == [0, 0, 1, 1]


def test_changed_source_of_the_class_makes_its_images_stale(blobs, module):
    from dynvision.workspace.addresses import parse_target

    build_chain(blobs.paths.root, blobs.config.folder, "raw/blobs:test")
    source = blobs.paths.root / f"{module}.py"
    (target,) = parse_target(blobs, "raw/blobs:test")
    assert blobs.status(target).state == "fresh"
    source.write_text(source.read_text().replace("100 *", "90 *"))
    again = Workspace.open(blobs.paths.root, blobs.config.folder)
    assert again.status(target).reason == "the configuration changed: source"


def test_tensors_in_0_to_1_become_8_bit_images_and_classes_are_numbered(module, tmp_path):
    dataset = open_own_dataset(f"{module}:Tensors", {}, tmp_path, "test", "here")
    assert dataset.classes == ["0", "1", "2"]
    shown = [(label, image.shape, int(image[0, 0, 0])) for label, image in dataset]
    assert shown == [(0, (8, 8, 3), 0), (2, (8, 8, 3), 128), (1, (8, 8, 3), 255)]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("Missing", ConfigError, r"here: cannot import '.*:Missing': the module '.*' has no 'Missing'. Valid: "),
        ("Unsplit", ConfigError, r"takes neither 'split' nor 'train'.*Give its __init__ one of them"),
        ("Blobs", ConfigError, r"cannot be made with .*base\.txt"),
    ],
)
def test_class_that_cannot_be_used_is_a_clear_error(module, tmp_path, name, error, message):
    with pytest.raises(error, match=message):
        open_own_dataset(f"{module}:{name}", {}, tmp_path, "test", "here")


def test_standardized_images_are_refused(module, tmp_path):
    dataset = open_own_dataset(f"{module}:Standardized", {}, tmp_path, "test", "here")
    with pytest.raises(DataError, match=r"item 0: an image of type float32 from -1\.0 to -1\.0; .*Leave out"):
        list(dataset)


def test_class_and_archive_together_are_refused(small_config):
    source = {"blobs": {"class": "a:B", "url": "http://mirror/", "md5": "0" * 32}}
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(data_sources=source))
    with pytest.raises(ConfigError, match=r"either a 'class' or an archive"):
        load_config(small_config)


def test_pictures_of_one_channel_stay_one_channel():
    assert as_pixels(Image.new("L", (4, 3), 7), "here").shape == (3, 4)
    assert as_pixels(np.zeros((3, 4, 1), dtype=np.uint8), "here").shape == (3, 4)
