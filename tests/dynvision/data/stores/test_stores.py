from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.data import stores
from dynvision.data.stores.base import StoredImages
from dynvision.data.stores.registry import open_store
from dynvision.errors import UnknownNameError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from tests.helpers.configuration import edit_yaml


@pytest.fixture(scope="module")
def direct(chain, tmp_path_factory) -> Workspace:
    """The workspace of the finished chain with `use_ffcv: false`."""
    folder = tmp_path_factory.mktemp("direct") / "config"
    shutil.copytree(chain.config, folder)
    edit_yaml(folder / "config_data.yaml", lambda c: c.update(use_ffcv=False))
    return Workspace.open(chain.root, folder)


def open_source(workspace: Workspace, partition: str) -> StoredImages:
    stage = "processed" if workspace.config.data.use_ffcv else "interim"
    target = Target((stage, "gratings"), partition)
    store = open_store(workspace.config, workspace.paths)
    return store.open("gratings", partition, workspace.stage(target).read_record(target))


def read(source: StoredImages, part: str, **settings) -> tuple[torch.Tensor, torch.Tensor]:
    batches = [(sequence.dense(), labels.dense()) for sequence, labels in source.loader(part, 5, 2, **settings)]
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return images, labels


def test_processed_stage_is_absent_without_ffcv(direct):
    assert not [key for key in direct.keys if key[0] == "processed"]
    target = Target(("models", "rcnn", "gratings"), "all_s0")
    assert direct.upstream(target) == [Target(("interim", "gratings"), "train_all")]


@pytest.mark.parametrize(("partition", "part"), [("test_all", "test"), ("train_all", "train"), ("train_all", "val")])
def test_images_and_labels_are_the_same_with_and_without_ffcv(chain, direct, partition, part):
    through, without = open_source(chain.open(), partition), open_source(direct, partition)
    assert through.samples(part) == without.samples(part)
    assert through.classes == without.classes
    for one, other in zip(read(through, part), read(without, part), strict=True):
        assert torch.equal(one, other)


def test_chosen_images_are_the_same_with_and_without_ffcv(chain, direct):
    chosen = [0, 3, 7, 11]
    one, other = (read(open_source(w, "test_all"), "test", indices=chosen) for w in (chain.open(), direct))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])
    assert len(one[0]) == 4


@pytest.mark.parametrize("settings", [{}, {"indices": [11, 3, 0]}, {"images_per_trial": 2}, {"normalized": False}])
def test_raw_files_give_the_same_numbers_with_ffcv_and_without_its_start_up(chain, settings):
    source = open_source(chain.open(), "test_all")
    one, other = (
        list(source.loader("test", 5, **settings, is_looked_at_for_long=long).iterate_images())
        for long in (False, True)
    )
    for through, straight in zip(one, other, strict=True):
        for left, right in zip(through, straight, strict=True):
            assert np.array_equal(np.asarray(left), np.asarray(right))


def test_recording_reads_raw_files_without_ffcv(chain, monkeypatch):
    monkeypatch.setitem(sys.modules, "ffcv", None)  # importing it is an error
    loader = open_source(chain.open(), "test_all").loader("test", 5, is_looked_at_for_long=True)
    assert sum(len(labels.dense()) for _, labels in loader) == 12


def test_images_are_the_normalized_files_that_the_table_names(chain, direct):
    source = open_source(direct, "test_all")
    images, labels = read(source, "test")
    table = source.samples("test")
    assert labels[:, 0].tolist() == table["group_label"]
    for number in (0, 5, 11):
        pixels = np.asarray(Image.open(chain.root / table["source"][number])).astype(np.float64)
        expected = torch.from_numpy((pixels / 255 - 0.5) / 0.29).permute(2, 0, 1).float()
        torch.testing.assert_close(images[number, 1], expected, rtol=1e-5, atol=1e-5)
        assert table["source"][number].split("/")[-2] == str(table["label"][number])


def test_train_and_val_share_no_image(chain):
    source = open_source(chain.open(), "train_all")
    train, val = (set(source.samples(part)["source"]) for part in ("train", "val"))
    assert not train & val
    assert len(train | val) == 36


MIRRORED = """
from dynvision.data.stores.image_files import ImageFileStore

class MirroredStore(ImageFileStore):
    def normalization(self, dataset):
        mean, std = super().normalization(dataset)
        return mean, [-value for value in std]

STORE = MirroredStore
"""


def test_new_store_is_one_module_that_the_configuration_names(direct, tmp_path, monkeypatch):
    (tmp_path / "mirrored.py").write_text(MIRRORED)
    monkeypatch.setattr(stores, "__path__", [*stores.__path__, str(tmp_path)])
    folder = tmp_path / "config"
    shutil.copytree(direct.config.folder, folder)
    edit_yaml(folder / "config_data.yaml", lambda c: c.update(image_store="mirrored"))
    mirrored = Workspace.open(direct.paths.root, folder)
    assert not [key for key in mirrored.keys if key[0] == "processed"]
    with pytest.raises(ValueError, match="each must be above 0"):
        read(open_source(mirrored, "test_all"), "test")
    sys.modules.pop("dynvision.data.stores.mirrored")


def test_unknown_store_names_the_nearest(direct, tmp_path):
    folder = tmp_path / "config"
    shutil.copytree(direct.config.folder, folder)
    edit_yaml(folder / "config_data.yaml", lambda c: c.update(image_store="beton_file"))
    with pytest.raises(UnknownNameError, match=r"image_store: unknown store 'beton_file'\. Did you mean 'beton_files'"):
        _ = Workspace.open(direct.paths.root, folder).keys
