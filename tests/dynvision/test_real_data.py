"""The chain on real images: CIFAR-100, MNIST and ImageNet as they come."""

from __future__ import annotations

import gzip
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.group_folder import GroupFolder
from dynvision.data.sources.cifar import Cifar100
from dynvision.data.sources.mnist import Mnist
from dynvision.errors import DataError
from dynvision.paths import Paths
from dynvision.workspace.building import build_targets
from tests.helpers.archives import MNIST_FILES
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, write_small_config
from tests.helpers.files import md5
from tests.helpers.servers import serve_folder

INVERTEBRATES = [6, 7, 14, 18, 24, 26, 45, 77, 79, 99]
ARCHIVE = "cifar-100-python.tar.gz"


def read_sums(real_data: Path) -> dict[str, str]:
    """The MD5 sums that the README of the real data gives."""
    rows = [line.split("|") for line in (real_data / "README.md").read_text().splitlines() if line.count("|") == 3]
    return {row[1].strip(" `"): row[2].strip() for row in rows}


def read_archive(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    with tarfile.open(path) as archive:
        content = pickle.load(archive.extractfile(f"cifar-100-python/{split}"), encoding="latin1")
    return content["data"].reshape(-1, 3, 32, 32), np.array(content["fine_labels"])


def read_pixels(path: Path) -> tuple[np.ndarray, list[int]]:
    """All images of a `.beton` as 8-bit pixels `[N, C, H, W]`, and their labels."""
    images, labels = [], []
    for batch, batch_labels, _ in get_ffcv_dataloader(path, 500, n_timesteps=1).iterate_images():
        images.append((batch * 255).round().to(torch.uint8).numpy())
        labels += batch_labels.tolist()
    return np.concatenate(images), labels


@pytest.fixture(scope="module")
def cifar(real_data, tmp_path_factory):
    """Root and config in which the real CIFAR-100 was downloaded from a loopback mirror and processed."""
    root = tmp_path_factory.mktemp("cifar")
    config = write_small_config(root / "config")
    with serve_folder(real_data) as address:
        source = {"cifar100": {"url": f"{address}/{ARCHIVE}", "md5": read_sums(real_data)[ARCHIVE]}}
        edit_yaml(config / "config_data.yaml", lambda c: c.update(data_sources=source))
        build_chain(root, config, "processed/cifar100:test_invertebrates", "processed/cifar100:train_invertebrates")
    return root, config


def test_real_cifar100_reaches_the_beton_image_for_image(cifar, real_data):
    root, _ = cifar
    pixels, labels = read_archive(real_data / ARCHIVE, "test")
    images, found = read_pixels(root / "data" / "processed" / "cifar100" / "test_invertebrates" / "test.beton")
    chosen = np.concatenate([np.flatnonzero(labels == index) for index in INVERTEBRATES])
    assert len(images) == 1000
    assert found == labels[chosen].tolist()
    assert np.array_equal(images, pixels[chosen])


def test_training_and_validation_images_are_those_of_the_archive_once_each(cifar, real_data):
    root, _ = cifar
    pixels, labels = read_archive(real_data / ARCHIVE, "train")
    folder = root / "data" / "processed" / "cifar100" / "train_invertebrates"
    train, val = (read_pixels(folder / f"{name}.beton") for name in ("train", "val"))
    for index in INVERTEBRATES:
        assert (train[1].count(index), val[1].count(index)) == (450, 50)
    inside = np.isin(labels, INVERTEBRATES)
    wanted = sorted((int(label), p.tobytes()) for label, p in zip(labels[inside], pixels[inside], strict=True))
    both = [*zip(train[1], train[0], strict=True), *zip(val[1], val[0], strict=True)]
    assert sorted((label, p.tobytes()) for label, p in both) == wanted


def test_links_lead_to_the_ten_invertebrates(cifar):
    root, _ = cifar
    folder = GroupFolder(root / "data" / "interim" / "cifar100" / "test_invertebrates", Paths(root))
    assert folder.classes[:3] == ["bee", "beetle", "butterfly"]
    assert list(folder.class_to_idx.values()) == INVERTEBRATES
    assert len(folder) == 1000


def test_archive_is_kept_and_is_the_real_one(cifar, real_data):
    root, _ = cifar
    assert md5(root / "data" / "raw" / "cifar100" / "archive" / ARCHIVE) == md5(real_data / ARCHIVE)


@pytest.mark.parametrize("split", ["train", "test"])
def test_real_archive_is_read_as_torchvision_reads_it(real_data, tmp_path, split):
    from torchvision.datasets import CIFAR100

    (tmp_path / ARCHIVE).symlink_to(real_data / ARCHIVE)
    with tarfile.open(real_data / ARCHIVE) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    unchecked = {"train_list": [["train", None]], "test_list": [["test", None]], "meta": {**CIFAR100.meta, "md5": None}}
    reader = type("UncheckedCIFAR100", (CIFAR100,), unchecked)
    expected = reader(str(tmp_path / "unpacked"), train=split == "train")
    opened = Cifar100.read_split(split, [tmp_path / ARCHIVE])
    assert opened.images.dtype == expected.data.dtype
    assert np.array_equal(opened.images, expected.data)
    assert opened.labels.tolist() == expected.targets
    assert opened.classes == expected.classes


@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_real_digits_are_read_as_torchvision_reads_them(real_data, tmp_path, split, prefix):
    from torchvision.datasets.mnist import read_image_file, read_label_file

    paths = [tmp_path / name for name in MNIST_FILES[split]]
    for path in paths:
        path.symlink_to(real_data / "mnist-raw" / path.name)
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    opened = Mnist.read_split(split, paths)
    assert np.array_equal(opened.images, read_image_file(str(tmp_path / f"{prefix}-images-idx3-ubyte")).numpy())
    assert np.array_equal(opened.labels, read_label_file(str(tmp_path / f"{prefix}-labels-idx1-ubyte")).numpy())


def test_torchvisions_own_checksum_refuses_the_cut_archive(real_data, tmp_path, small_config):
    folder = tmp_path / "data" / "raw" / "cifar100" / "archive"
    folder.mkdir(parents=True)
    (folder / ARCHIVE).symlink_to(real_data / ARCHIVE)
    with pytest.raises(
        DataError, match=r"wrong checksum: MD5 .*, expected eb9058c3a382ffc7106e4002c42a8d85.*data_sources"
    ):
        build_targets(["raw/cifar100:test"], root=str(tmp_path), config=str(small_config))


def test_real_mnist_keeps_its_one_channel_to_the_beton(real_data, tmp_path, small_config):
    names = [name for pair in MNIST_FILES.values() for name in pair]
    sums = read_sums(real_data)
    with serve_folder(real_data / "mnist-raw") as address:
        source = {"mnist": {"url": address, "files": {name: sums[name] for name in names}}}
        edit_yaml(small_config / "config_data.yaml", lambda c: c.update(data_sources=source))
        build_chain(tmp_path, small_config, "processed/mnist:test_89")
    digits = Mnist.read_split("test", [tmp_path / "data" / "raw" / "mnist" / "archive" / name for name in names])
    images, labels = read_pixels(tmp_path / "data" / "processed" / "mnist" / "test_89" / "test.beton")
    chosen = np.concatenate([np.flatnonzero(digits.labels == label) for label in (8, 9)])
    assert images.shape == (len(chosen), 1, 28, 28)
    assert labels == digits.labels[chosen].tolist()
    assert np.array_equal(images[:, 0], digits.images[chosen])


def test_real_photographs_are_mounted_fitted_and_named_by_their_class_index(real_data, tmp_path, small_config):
    with tarfile.open(real_data / "imagenet-sample.tar") as archive:
        archive.extractall(tmp_path / "scratch", filter="data")
    sample = tmp_path / "scratch" / "imagenet-sample"

    def change(content):
        content["data_resolution"]["imagenet"] = 96
        content["data_groups"]["imagenet"] = {"imagenette": [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]}
        content["mounted_datasets"] = {"imagenet": str(sample)}
        content["class_index_files"] = {"imagenet": str(sample / "class_index.json")}

    edit_yaml(small_config / "config_data.yaml", change)
    build_chain(tmp_path, small_config, "processed/imagenet:test_imagenette", "interim/imagenet:test_all")
    index = json.loads((sample / "class_index.json").read_text())
    images, labels = read_pixels(tmp_path / "data" / "processed" / "imagenet" / "test_imagenette" / "test.beton")
    assert images.shape == (10, 3, 96, 96)
    assert labels == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]
    folder = GroupFolder(tmp_path / "data" / "interim" / "imagenet" / "test_imagenette", Paths(tmp_path))
    assert folder.classes == [index[str(label)][1] for label in labels]
    assert [Path(path).parent.name for path, _ in folder.samples] == [index[str(label)][0] for label in labels]
    assert len(GroupFolder(tmp_path / "data" / "interim" / "imagenet" / "test_all", Paths(tmp_path))) == 120
