"""Which source gives the images of a dataset, and how a new kind of dataset is added."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dynvision.config import load_config
from dynvision.config.datasets import KNOWN_DATASETS, KnownDataset
from dynvision.data import sources
from dynvision.data.sources.archives import ArchiveSource
from dynvision.data.sources.base import ExportedSource
from dynvision.data.sources.class_path import ImportedClass
from dynvision.data.sources.found_folders import FoundFolders
from dynvision.data.sources.registry import find_source, named_sources
from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision.targets import Target
from dynvision.workspace import Workspace
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml


@pytest.mark.parametrize("dataset", KNOWN_DATASETS)
def test_every_line_of_the_table_names_a_source_that_agrees_with_it(tmp_path, small_config, dataset):
    source = find_source(dataset, load_config(small_config), Paths(tmp_path))
    known = KNOWN_DATASETS[dataset]
    assert isinstance(source, ExportedSource)
    assert dataset in type(source).datasets
    assert (source.channels, source.class_count) == (known.channels, known.class_count(source.config.data))
    assert isinstance(source, ArchiveSource) == (known.n_archives > 0)


def test_gratings_have_the_classes_and_images_that_they_announce(tmp_path, small_config):
    source = find_source("gratings", load_config(small_config), Paths(tmp_path))
    images = source.open("test")
    items = list(images)
    assert len(images) == len(items) == 12
    assert len(images.classes) == source.class_count == 3
    assert {pixels.shape for _, pixels in items} == {(16, 16, 3)}


def test_mount_comes_before_a_class_and_a_class_before_the_known_datasets(tmp_path, small_config):
    def change(content: dict[str, Any]) -> None:
        content["data_resolution"] |= {"own": 8, "imported": 8}
        content["data_sources"] = {"imported": {"class": "module:Class"}}
        content["mounted_datasets"] = ["gratings"]

    edit_yaml(small_config / "config_data.yaml", change)
    config = load_config(small_config)
    sources = {name: type(find_source(name, config, Paths(tmp_path))) for name in ("own", "imported", "gratings")}
    assert sources == {"own": FoundFolders, "imported": ImportedClass, "gratings": FoundFolders}


@pytest.mark.slow
def test_known_dataset_that_is_mounted_depends_on_the_files_there_and_can_be_processed(tmp_path, small_config):
    for split in ("train", "test"):
        for index in range(3):
            path = tmp_path / "disk" / split / str(index) / "0.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (16, 16), 40 * index).save(path)
    edit_yaml(small_config / "config_data.yaml", lambda content: content.update(mounted_datasets={"gratings": "disk"}))
    build_chain(tmp_path, small_config, "processed/gratings:test_all")
    target = Target(("raw", "gratings"), "test")
    assert Workspace.open(tmp_path, small_config).status(target).state == "fresh"
    Image.new("RGB", (8, 8), 9).save(tmp_path / "disk" / "test" / "0" / "1.png")
    status = Workspace.open(tmp_path, small_config).status(target)
    assert status.reason == f"images or classes in {tmp_path / 'disk' / 'test'} changed, or their sizes or times did"


SQUARES = """
import numpy as np
from dynvision.data.sources.archives import ImageSplit
from dynvision.data.sources.base import ExportedSource

class Squares(ExportedSource):
    datasets = ("squares",)

    def settings(self, split):
        return {"shade": 100}

    def open(self, split):
        return ImageSplit(np.full((4, 8, 8), 100, np.uint8), np.array([0, 1, 1, 0]), ["dark", "light"])
"""


@pytest.fixture
def with_squares(monkeypatch: pytest.MonkeyPatch, small_config: Path, tmp_path: Path) -> Iterator[Path]:
    """A configuration with a dataset of a new kind: a module among the sources, and nothing else."""
    folder = tmp_path / "more_sources"
    folder.mkdir()
    (folder / "squares.py").write_text(SQUARES)
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(folder)])
    named_sources.cache_clear()
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update(squares=8))
    yield small_config
    named_sources.cache_clear()
    sys.modules.pop("dynvision.data.sources.squares", None)


@pytest.fixture
def with_known_squares(monkeypatch: pytest.MonkeyPatch, with_squares: Path) -> Path:
    """The same, with the facts against which the configuration is checked."""
    monkeypatch.setitem(KNOWN_DATASETS, "squares", KnownDataset(1, lambda _: 2))
    return with_squares


def test_new_kind_is_one_module(with_squares, tmp_path):
    build_chain(tmp_path, with_squares, "interim/squares:test_all")
    workspace = Workspace.open(tmp_path, with_squares)
    record = workspace.read_record(Target(("raw", "squares"), "test"))
    assert record.config == {"shade": 100}
    assert [(c["name"], c["count"]) for c in record.details["classes"]] == [("dark", 2), ("light", 2)]
    assert record.details["channels"] == 1


def test_facts_about_a_new_kind_are_known_before_it_is_made(with_known_squares, tmp_path):
    workspace = Workspace.open(tmp_path, with_known_squares)
    assert workspace.config.class_count("squares") == 2
    processed = Target(("processed", "squares"), "test_all")
    assert workspace.stage(processed).settings(processed)["write_mode"] == "raw"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_groups": {"squares": {"few": [2]}}}, "class index 2 is outside 'squares', whose classes are 0 to 1"),
        ({"data_statistics": {"squares": {"mean": [0, 0, 0], "std": [1, 1, 1]}}}, "3 means for images of 1 channels"),
        ({"data_sources": {"squares": {"md5": "0" * 32}}}, "is not downloaded; only mnist, cifar10, cifar100 are"),
        ({"data_sources": {"squares": {"class": "a:B"}}}, "'squares' has its own images; give the class another"),
    ],
)
def test_configuration_of_a_new_kind_is_checked_when_it_is_read(with_known_squares, change, message):
    edit_yaml(with_known_squares / "config_data.yaml", lambda content: content.update(change))
    with pytest.raises(ConfigError, match=message):
        load_config(with_known_squares)
