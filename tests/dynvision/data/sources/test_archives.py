from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dynvision.config.data import DataSource
from dynvision.data.sources.archives import archive_files, fetch_archive, open_split
from dynvision.errors import DataError, MissingError
from tests.helpers.archives import MNIST_FILES, write_cifar100_archive, write_mnist_files
from tests.helpers.files import md5
from tests.helpers.servers import closed_address, serve_folder

NAME = "cifar-100-python.tar.gz"
WRONG = "0" * 32


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory):
    """A folder with archives of random images, and what they hold."""
    folder = tmp_path_factory.mktemp("mirror")
    return folder, write_cifar100_archive(folder / NAME), write_mnist_files(folder)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the archive of a dataset is kept."""
    return tmp_path / "data" / "raw" / "cifar100" / "archive"


def test_torchvisions_own_addresses_and_checksums_are_the_default():
    (file,) = archive_files("cifar100", None)
    assert file.urls == ("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",)
    assert file.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert [f.name for f in archive_files("mnist", None)] == [n for pair in MNIST_FILES.values() for n in pair]


def test_source_of_ones_own_replaces_address_and_checksum():
    (file,) = archive_files("cifar10", DataSource(url="http://mirror/c.tar.gz", md5=WRONG))
    assert (file.urls, file.md5) == (("http://mirror/c.tar.gz",), WRONG)
    first = archive_files("mnist", DataSource(url="http://mirror/mnist", files={"train-images-idx3-ubyte.gz": WRONG}))[
        0
    ]
    assert (first.urls, first.md5) == (("http://mirror/mnist/train-images-idx3-ubyte.gz",), WRONG)


def test_unknown_file_of_mnist_is_named():
    with pytest.raises(DataError, match=r"data_sources\.mnist\.files names 'train\.gz'; the files are train-images"):
        archive_files("mnist", DataSource(url="http://mirror/", files={"train.gz": WRONG}))


def test_archive_is_downloaded_checked_and_kept(mirror, place):
    folder, held, _ = mirror
    with serve_folder(folder) as address:
        paths = fetch_archive("cifar100", place, DataSource(url=f"{address}/{NAME}", md5=held["md5"]))
    assert paths == [place / NAME]
    assert md5(paths[0]) == held["md5"]
    assert [p.name for p in place.iterdir()] == [NAME]
    # The mirror is gone: what is there is used.
    again = fetch_archive("cifar100", place, DataSource(url=f"{closed_address()}/{NAME}", md5=held["md5"]))
    assert again == paths


@pytest.mark.parametrize("split", ["train", "test"])
def test_split_holds_the_archives_images_and_labels_in_order(mirror, split):
    folder, held, _ = mirror
    opened = open_split("cifar100", split, [folder / NAME])
    images, labels = held[split]
    assert np.array_equal(opened.images, images)
    assert np.array_equal(opened.labels, labels)
    assert opened.classes[:2] == ["thing00", "thing01"]
    assert [label for label, _ in opened] == labels.tolist()
    assert sorted(p.name for p in folder.iterdir()) == sorted([NAME, *held_files()])


def held_files() -> list[str]:
    return [name for pair in MNIST_FILES.values() for name in pair]


@pytest.mark.parametrize("split", ["train", "test"])
def test_digits_of_mnist_have_one_channel(mirror, split):
    folder, _, held = mirror
    opened = open_split("mnist", split, [folder / name for name in held["files"]])
    images, labels = held[split]
    assert opened.images.shape[1:] == (28, 28)
    assert np.array_equal(opened.images, images)
    assert np.array_equal(opened.labels, labels)
    assert opened.classes == list("0123456789")


def test_all_files_of_mnist_are_downloaded(mirror, tmp_path):
    folder, _, held = mirror
    with serve_folder(folder) as address:
        paths = fetch_archive(
            "mnist", tmp_path / "raw" / "mnist" / "archive", DataSource(url=address, files=held["files"])
        )
    assert [md5(p) for p in paths] == list(held["files"].values())


def test_download_with_a_wrong_checksum_is_an_error_and_leaves_nothing(mirror, place):
    folder, held, _ = mirror
    with serve_folder(folder) as address, pytest.raises(DataError) as caught:
        fetch_archive("cifar100", place, DataSource(url=f"{address}/{NAME}", md5=WRONG))
    message = str(caught.value)
    assert f"{address}/{NAME} has the wrong checksum: MD5 {held['md5']}, expected {WRONG}" in message
    assert "data_sources.cifar100 in config_data.yaml" in message
    assert list(place.iterdir()) == []


def test_users_own_file_with_a_wrong_checksum_is_named_and_left_as_it_is(mirror, place):
    folder, held, _ = mirror
    place.mkdir(parents=True)
    (place / NAME).write_bytes(b"mine")
    with serve_folder(folder) as address, pytest.raises(DataError) as caught:
        fetch_archive("cifar100", place, DataSource(url=f"{address}/{NAME}", md5=held["md5"]))
    assert f"{place / NAME} has the wrong checksum: MD5 {md5(place / NAME)}, expected {held['md5']}" in str(
        caught.value
    )
    assert (place / NAME).read_bytes() == b"mine"
    assert [p.name for p in place.iterdir()] == [NAME]


def test_two_splits_that_need_the_same_archive_download_it_once_and_clear_what_a_killed_one_left(mirror, place):
    folder, held, _ = mirror
    place.mkdir(parents=True)
    (place / f".{NAME}.partial-1-abcdef").write_bytes(b"half of it")
    asked: list[str] = []
    with serve_folder(folder, asked) as address:
        fetch_archive(
            "cifar100", place.parent.with_name("cifar10"), DataSource(url=f"{address}/{NAME}", md5=held["md5"])
        )
    of_one = asked.copy()
    asked.clear()
    with serve_folder(folder, asked) as address, ThreadPoolExecutor(3) as pool:
        source = DataSource(url=f"{address}/{NAME}", md5=held["md5"])
        found = [pool.submit(fetch_archive, "cifar100", place, source) for _ in range(3)]
        assert [job.result() for job in found] == [[place / NAME]] * 3
    assert asked == of_one
    assert [p.name for p in place.iterdir()] == [NAME]


def test_what_a_killed_process_unpacked_is_removed_and_another_splits_is_not(mirror, tmp_path):
    folder, held, _ = mirror
    shutil.copy(folder / NAME, tmp_path)
    for split in ("train", "test"):
        (tmp_path / f".unpacked-{split}-killed" / "inside").mkdir(parents=True)
    opened = open_split("cifar100", "train", [tmp_path / NAME])
    assert np.array_equal(opened.images, held["train"][0])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".unpacked-test-killed", NAME]


def test_offline_and_missing_says_where_to_put_which_file(place):
    with pytest.raises(MissingError) as caught:
        fetch_archive("cifar100", place, DataSource(url=f"{closed_address()}/{NAME}", md5=WRONG))
    message = str(caught.value)
    assert f"{NAME} of cifar100 is not there and could not be downloaded" in message
    assert f"Put it at {place / NAME} (MD5 {WRONG})" in message
    assert "give a mirror: data_sources.cifar100 in config_data.yaml" in message
    assert list(place.iterdir()) == []


def test_file_that_the_mirror_lacks_is_named(mirror, tmp_path):
    folder, _, held = mirror
    partial = tmp_path / "partial"
    partial.mkdir()
    shutil.copy(folder / "train-images-idx3-ubyte.gz", partial)
    with (
        serve_folder(partial) as address,
        pytest.raises(MissingError, match=r"train-labels-idx1-ubyte\.gz of mnist is not"),
    ):
        fetch_archive("mnist", tmp_path / "raw" / "mnist" / "archive", DataSource(url=address, files=held["files"]))


def test_file_that_torchvision_put_beside_is_used_where_it_is(mirror, place):
    folder, held, _ = mirror
    beside = place.parent.parent / NAME
    place.mkdir(parents=True)
    shutil.copy(folder / NAME, beside)
    source = DataSource(url=f"{closed_address()}/{NAME}", md5=held["md5"])
    assert fetch_archive("cifar100", place, source) == [beside]


def test_torchvisions_own_folder_of_mnist_is_used_where_it_is(mirror, tmp_path):
    folder, _, held = mirror
    beside = tmp_path / "raw" / "MNIST" / "raw"
    beside.mkdir(parents=True)
    for name in held["files"]:
        shutil.copy(folder / name, beside)
    source = DataSource(url=closed_address(), files=held["files"])
    paths = fetch_archive("mnist", tmp_path / "raw" / "mnist" / "archive", source)
    assert [p.parent for p in paths] == [beside] * 4


def test_file_that_has_the_right_checksum_but_is_no_archive_is_an_error(tmp_path):
    path = tmp_path / NAME
    path.write_text("a page that says 404")
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz has the right checksum but cannot be unpacked"):
        open_split("cifar100", "train", [path])
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


def test_archive_that_lacks_its_files_is_a_data_error(tmp_path):
    path = tmp_path / NAME
    other = tmp_path / "other.txt"
    other.write_text("something else")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(other, "other.txt")
    with pytest.raises(DataError, match=r"cifar-100-python\.tar\.gz"):
        open_split("cifar100", "train", [path])
