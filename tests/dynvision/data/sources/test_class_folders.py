from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dynvision.data.images.files import list_images
from dynvision.data.sources.folders.class_folders import scan_class_folders
from dynvision.errors import DataError, MissingError


def write_classes(folder: Path, *names: str, count: int = 2) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / name / f"{number}.png")
    return folder


def test_folders_that_are_numbers_are_class_indices(tmp_path):
    classes = scan_class_folders(write_classes(tmp_path / "x", "10", "2", "007")).classes
    assert [(c.index, c.folder) for c in classes] == [(2, "2"), (7, "007"), (10, "10")]


def test_folders_that_are_names_are_numbered_in_their_order(tmp_path):
    classes = scan_class_folders(write_classes(tmp_path / "x", "zebra", "ant", "10")).classes
    assert [(c.index, c.name, c.count) for c in classes] == [(0, "10", 2), (1, "ant", 2), (2, "zebra", 2)]


def test_class_index_gives_each_folder_its_index_and_name(tmp_path):
    index = {5: ("n02", "bee"), 1: ("n09", "fly"), 3: ("n11", "ant")}
    classes = scan_class_folders(write_classes(tmp_path / "x", "n02", "n09"), index).classes
    assert [(c.index, c.name, c.folder) for c in classes] == [(1, "fly", "n09"), (5, "bee", "n02")]


def test_folder_outside_the_class_index_is_an_error(tmp_path):
    folder = write_classes(tmp_path / "x", "n02", "stray")
    with pytest.raises(DataError, match="the folder 'stray' is not in the class index file"):
        scan_class_folders(folder, {5: ("n02", "bee")})


def test_two_folders_with_the_same_number_are_an_error(tmp_path):
    with pytest.raises(DataError, match="two class folders have the same number; rename one"):
        scan_class_folders(write_classes(tmp_path / "x", "1", "01"))


def test_empty_class_is_named(tmp_path):
    folder = write_classes(tmp_path / "x", "ant")
    (folder / "bee").mkdir()
    (folder / "bee" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="1 class folders hold no image: bee"):
        scan_class_folders(folder)


def test_missing_folder_says_what_to_put_there(tmp_path):
    with pytest.raises(
        MissingError, match=rf"{re.escape(str(tmp_path / 'x'))} does not exist\. Put one folder of images"
    ):
        scan_class_folders(tmp_path / "x")


def test_folder_without_classes_says_what_to_put_there(tmp_path):
    with pytest.raises(DataError, match=r"holds no class folders\. Put one folder of images for each class there"):
        scan_class_folders(tmp_path)


def test_digest_of_a_scan_changes_with_an_image(tmp_path):
    folder = write_classes(tmp_path / "x", "ant", "bee")
    before = scan_class_folders(folder, known={}).digest
    assert scan_class_folders(folder, known={}).digest == before != ""
    Image.new("RGB", (9, 9)).save(folder / "bee" / "1.png")
    assert scan_class_folders(folder, known={}).digest not in (before, "")
    assert scan_class_folders(folder).digest == "", "nothing was read"


def test_scan_and_listing_count_the_same_images(tmp_path):
    folder = write_classes(tmp_path / "x", "ant")
    for name in (".hidden.png", "notes.txt", "PHOTO.JPEG"):
        (folder / "ant" / name).write_bytes((folder / "ant" / "0.png").read_bytes())
    assert list_images(folder / "ant") == ["0.png", "1.png", "PHOTO.JPEG"]
    assert scan_class_folders(folder).classes[0].count == 3


@given(st.lists(st.integers(0, 120), unique=True, min_size=1, max_size=6), st.integers(1, 4))
def test_numbered_folders_keep_their_number_whatever_the_padding(tmp_path_factory, numbers, width):
    folder = tmp_path_factory.mktemp("classes")
    write_classes(folder, *(f"{n:0{width}d}" for n in numbers), count=1)
    assert [c.index for c in scan_class_folders(folder).classes] == sorted(numbers)
