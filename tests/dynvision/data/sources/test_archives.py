from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dynvision.config.sections.data import DataSource
from dynvision.data.sources import downloading
from dynvision.data.sources.cifar import Cifar10, Cifar100
from dynvision.data.sources.mnist import Mnist
from dynvision.errors import DataError, MissingError
from tests.helpers.archives import MNIST_FILES, write_cifar100_archive, write_mnist_files
from tests.helpers.files import md5
from tests.helpers.servers import closed_address, serve_folder

pytestmark = pytest.mark.slow

NAME = "cifar-100-python.tar.gz"
WRONG = "0" * 32


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory):
    """A folder with archives of random images, and their content."""
    folder = tmp_path_factory.mktemp("mirror")
    return folder, write_cifar100_archive(folder / NAME), write_mnist_files(folder)


@pytest.fixture
def archive_folder(tmp_path: Path) -> Path:
    """Where the archive of a dataset is archive_folder."""
    return tmp_path / "data" / "raw" / "cifar100" / "archive"


def test_torchvisions_own_addresses_and_checksums_are_the_default():
    (file,) = Cifar100.files(DataSource())
    assert file.urls == ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",)
    assert file.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert [f.name for f in Mnist.files(DataSource())] == [n for pair in MNIST_FILES.values() for n in pair]


def test_source_of_the_users_own_replaces_address_and_checksum():
    (file,) = Cifar10.files(DataSource(url="http://mirror/c.tar.gz", md5=WRONG))
    assert (file.urls, file.md5) == (("http://mirror/c.tar.gz",), WRONG)
    first = Mnist.files(DataSource(url="http://mirror/mnist", files={"train-images-idx3-ubyte.gz": WRONG}))[0]
    assert (first.urls, first.md5) == (("http://mirror/mnist/train-images-idx3-ubyte.gz",), WRONG)


def test_unknown_file_of_mnist_is_named():
    with pytest.raises(DataError, match=r"data_sources\.mnist\.files names 'train\.gz'; the files are train-images"):
        Mnist.files(DataSource(url="http://mirror/", files={"train.gz": WRONG}))


def test_archive_is_downloaded_checked_and_kept(mirror, archive_folder):
    folder, written, _ = mirror
    with serve_folder(folder) as address:
        paths = Cifar100.fetch(archive_folder, DataSource(url=f"{address}/{NAME}", md5=written["md5"]))
    assert paths == [archive_folder / NAME]
    assert md5(paths[0]) == written["md5"]
    assert [p.name for p in archive_folder.iterdir()] == [NAME]
    # The mirror is gone: the existing file is used.
    again = Cifar100.fetch(archive_folder, DataSource(url=f"{closed_address()}/{NAME}", md5=written["md5"]))
    assert again == paths


@pytest.mark.parametrize("split", ["train", "test"])
def test_split_holds_the_archives_images_and_labels_in_order(mirror, split):
    folder, written, _ = mirror
    opened = Cifar100.read_split(split, [folder / NAME])
    images, labels = written[split]
    assert np.array_equal(opened.images, images)
    assert np.array_equal(opened.labels, labels)
    assert opened.classes[:2] == ["thing00", "thing01"]
    assert [label for label, _ in opened] == labels.tolist()
    assert sorted(p.name for p in folder.iterdir()) == sorted([NAME, *mnist_files()])


def mnist_files() -> list[str]:
    return [name for pair in MNIST_FILES.values() for name in pair]


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_of_mnist_have_one_channel(mirror, split):
    folder, _, written = mirror
    opened = Mnist.read_split(split, [folder / name for name in written["files"]])
    images, labels = written[split]
    assert opened.images.shape[1:] == (28, 28)
    assert np.array_equal(opened.images, images)
    assert np.array_equal(opened.labels, labels)
    assert opened.classes == list("0123456789")


def test_all_files_of_mnist_are_downloaded(mirror, tmp_path):
    folder, _, written = mirror
    with serve_folder(folder) as address:
        paths = Mnist.fetch(tmp_path / "raw" / "mnist" / "archive", DataSource(url=address, files=written["files"]))
    assert [md5(p) for p in paths] == list(written["files"].values())


def test_download_with_a_wrong_checksum_is_an_error_and_leaves_nothing(mirror, archive_folder):
    folder, written, _ = mirror
    with serve_folder(folder) as address, pytest.raises(DataError) as caught:
        Cifar100.fetch(archive_folder, DataSource(url=f"{address}/{NAME}", md5=WRONG))
    message = str(caught.value)
    assert f"{address}/{NAME} has the wrong checksum: MD5 {written['md5']}, expected {WRONG}" in message
    assert "data_sources.cifar100 in config_data.yaml" in message
    assert list(archive_folder.iterdir()) == []


def test_a_file_on_a_disk_is_an_address_too(mirror, archive_folder):
    folder, written, _ = mirror
    source = DataSource(url=(folder / NAME).as_uri(), md5=written["md5"])
    assert Cifar100.fetch(archive_folder, source) == [archive_folder / NAME]


def test_a_download_that_does_not_end_is_given_up_and_leaves_nothing(mirror, archive_folder, monkeypatch):
    folder, written, _ = mirror
    monkeypatch.setattr(downloading, "_LARGEST", 1000)
    with (
        serve_folder(folder) as address,
        pytest.raises(MissingError, match=r"it gives more than 1,000 bytes, the most"),
    ):
        Cifar100.fetch(archive_folder, DataSource(url=f"{address}/{NAME}", md5=written["md5"]))
    assert list(archive_folder.iterdir()) == []


def test_users_own_file_with_a_wrong_checksum_is_named_and_left_as_it_is(mirror, archive_folder):
    folder, written, _ = mirror
    archive_folder.mkdir(parents=True)
    (archive_folder / NAME).write_bytes(b"mine")
    with serve_folder(folder) as address, pytest.raises(DataError) as caught:
        Cifar100.fetch(archive_folder, DataSource(url=f"{address}/{NAME}", md5=written["md5"]))
    assert (
        f"{archive_folder / NAME} has the wrong checksum: MD5 {md5(archive_folder / NAME)}, expected {written['md5']}"
        in str(caught.value)
    )
    assert (archive_folder / NAME).read_bytes() == b"mine"
    assert [p.name for p in archive_folder.iterdir()] == [NAME]


def test_two_splits_that_need_the_same_archive_download_it_once_and_remove_leftovers_of_a_killed_one(
    mirror, archive_folder
):
    folder, written, _ = mirror
    archive_folder.mkdir(parents=True)
    (archive_folder / f".{NAME}.partial-1-abcdef").write_bytes(b"half of it")
    asked: list[str] = []
    with serve_folder(folder, asked) as address:
        Cifar100.fetch(
            archive_folder.parent.with_name("cifar10"), DataSource(url=f"{address}/{NAME}", md5=written["md5"])
        )
    of_one = asked.copy()
    asked.clear()
    with serve_folder(folder, asked) as address, ThreadPoolExecutor(3) as pool:
        source = DataSource(url=f"{address}/{NAME}", md5=written["md5"])
        jobs = [pool.submit(Cifar100.fetch, archive_folder, source) for _ in range(3)]
        assert [job.result() for job in jobs] == [[archive_folder / NAME]] * 3
    assert asked == of_one
    assert [p.name for p in archive_folder.iterdir()] == [NAME]


def test_leftovers_of_a_killed_process_are_removed_but_not_those_of_the_other_split(mirror, tmp_path):
    folder, written, _ = mirror
    shutil.copy(folder / NAME, tmp_path)
    for split in ("train", "test"):
        (tmp_path / f".unpacked-{split}-killed" / "inside").mkdir(parents=True)
    opened = Cifar100.read_split("train", [tmp_path / NAME])
    assert np.array_equal(opened.images, written["train"][0])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".unpacked-test-killed", NAME]


def test_offline_and_missing_says_where_to_put_which_file(archive_folder):
    with pytest.raises(MissingError) as caught:
        Cifar100.fetch(archive_folder, DataSource(url=f"{closed_address()}/{NAME}", md5=WRONG))
    message = str(caught.value)
    assert f"{NAME} of cifar100 does not exist and could not be downloaded" in message
    assert f"Put it at {archive_folder / NAME} (MD5 {WRONG})" in message
    assert "give a mirror: data_sources.cifar100 in config_data.yaml" in message
    assert list(archive_folder.iterdir()) == []


def test_file_that_the_mirror_lacks_is_named(mirror, tmp_path):
    folder, _, written = mirror
    partial = tmp_path / "partial"
    partial.mkdir()
    shutil.copy(folder / "train-images-idx3-ubyte.gz", partial)
    with (
        serve_folder(partial) as address,
        pytest.raises(MissingError, match=r"train-labels-idx1-ubyte\.gz of mnist does not exist"),
    ):
        Mnist.fetch(tmp_path / "raw" / "mnist" / "archive", DataSource(url=address, files=written["files"]))


def test_file_that_torchvision_put_next_to_the_dataset_is_used_where_it_is(mirror, archive_folder):
    folder, written, _ = mirror
    existing = archive_folder.parent.parent / NAME
    archive_folder.mkdir(parents=True)
    shutil.copy(folder / NAME, existing)
    source = DataSource(url=f"{closed_address()}/{NAME}", md5=written["md5"])
    assert Cifar100.fetch(archive_folder, source) == [existing]


def test_torchvisions_own_folder_of_mnist_is_used_where_it_is(mirror, tmp_path):
    folder, _, written = mirror
    existing = tmp_path / "raw" / "MNIST" / "raw"
    existing.mkdir(parents=True)
    for name in written["files"]:
        shutil.copy(folder / name, existing)
    source = DataSource(url=closed_address(), files=written["files"])
    paths = Mnist.fetch(tmp_path / "raw" / "mnist" / "archive", source)
    assert [p.parent for p in paths] == [existing] * 4


def test_file_that_has_the_right_checksum_but_is_not_an_archive_is_an_error(tmp_path):
    path = tmp_path / NAME
    path.write_text("a page that says 404")
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz has the right checksum but cannot be unpacked"):
        Cifar100.read_split("train", [path])
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_archive_that_lacks_its_files_is_a_data_error(tmp_path):
    path = tmp_path / NAME
    other = tmp_path / "other.txt"
    other.write_text("something else")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(other, "other.txt")
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz"):
        Cifar100.read_split("train", [path])
