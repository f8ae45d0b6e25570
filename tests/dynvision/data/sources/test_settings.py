"""What the images of each kind of dataset depend on; a change here makes every existing root stale.

Class folders depend on the contents of their images. These are read when raw is built, so before that there is no
digest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml

MD5 = "0123456789abcdef0123456789abcdef"
FILES_DIGEST = "a4547ca743b0e2a808d8328108b41bd5"


@pytest.fixture
def workspace(tmp_path: Path, small_config: Path) -> Workspace:
    """A root with a dataset of every kind; each dataset of class folders holds the same image."""

    def change(content: dict[str, Any]) -> None:
        content["data_resolution"] |= {"inside": 8, "outside": 8, "mounted": 8, "grey": 8, "imported": 8}
        content["data_statistics"]["grey"] = {"mean": [0.5], "std": [0.2]}
        content["mounted_datasets"] = {"mounted": "disk"}
        content["data_sources"] = {
            "cifar10": {"url": "http://mirror/c.tar.gz", "md5": MD5},
            "mnist": {"url": "http://mirror", "files": {"train-images-idx3-ubyte.gz": MD5}},
            "imported": {"class": "dynvision.data.sources.gratings:Anything", "args": {"count": 3}},
        }

    edit_yaml(small_config / "config_data.yaml", change)
    for folder in ("data/raw/inside/train", "data/external/outside/train", "disk/train", "data/raw/grey/train"):
        path = tmp_path / folder / "ant" / "0.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"not opened")
        os.utime(path, (1, 1))
    return Workspace.open(tmp_path, small_config)


GRATINGS = {"orientations": 3, "contrast": 0.8, "spatial_frequency": [3.0, 6.0], "noise": 0.05, "seed": 0, "size": 16}
SETTINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("gratings", "train", {**GRATINGS, "train_per_class": 12}),
    ("gratings", "test", {**GRATINGS, "test_per_class": 4}),
    ("cifar100", "train", {}),
    ("cifar10", "test", {"md5": MD5}),
    ("mnist", "train", {"files": {"train-images-idx3-ubyte.gz": MD5}}),
    (
        "imported",
        "test",
        {"class": "dynvision.data.sources.gratings:Anything", "args": {"count": 3}, "source": "", "channels": 3},
    ),
    ("inside", "train", {"channels": 3, "source": "data/raw/inside/train", "files": FILES_DIGEST}),
    ("outside", "train", {"channels": 3, "source": "data/external/outside/train", "files": FILES_DIGEST}),
    ("mounted", "train", {"channels": 3, "source": "disk/train", "files": FILES_DIGEST}),
    ("grey", "train", {"channels": 1, "source": "data/raw/grey/train", "files": FILES_DIGEST}),
]


@pytest.mark.parametrize(("dataset", "split", "settings"), SETTINGS, ids=[f"{d}:{s}" for d, s, _ in SETTINGS])
def test_settings_of_a_dataset_are_those_of_roots_that_exist(workspace, dataset, split, settings):
    target = Target(("raw", dataset), split)
    if settings.get("files") != FILES_DIGEST:
        assert workspace.stage(target).settings(target) == settings
        return
    assert workspace.stage(target).settings(target) == {**settings, "files": ""}, "nothing has been read"
    build_targets([str(target)], root=str(workspace.paths.root), config=str(workspace.config.folder))
    again = Workspace.open(workspace.paths.root, workspace.config.folder)
    assert again.stage(target).settings(target) == settings


@pytest.mark.parametrize(
    ("dataset", "mode"),
    [("gratings", "raw"), ("mnist", "raw"), ("cifar100", "smart"), ("grey", "raw"), ("inside", "jpg")],
)
def test_write_mode_follows_the_channels_of_a_dataset(workspace, dataset, mode):
    edit_yaml(
        workspace.config.folder / "config_data.yaml",
        lambda content: content.update(
            write_mode=dict.fromkeys(("mnist", "grey", "inside"), "jpg") | {"cifar100": "smart"}
        ),
    )
    again = Workspace.open(workspace.paths.root, workspace.config.folder)
    target = Target(("processed", dataset), "test_all")
    assert again.stage(target).settings(target)["write_mode"] == mode
