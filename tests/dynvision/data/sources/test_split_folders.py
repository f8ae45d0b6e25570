"""Which folders are splits, and what is said of a layout that is not understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynvision.data.sources.folders.split_folders import SplitFolders
from dynvision.errors import DataError, DynvisionError, MissingError


def write(base: Path, *folders: str) -> Path:
    for name in folders:
        (base / name).mkdir(parents=True)
        (base / name / "0.png").write_bytes(b"not opened")
    return base


def test_test_is_taken_before_val_if_both_have_the_classes_of_train(tmp_path):
    splits = SplitFolders([write(tmp_path, "train/ant", "test/ant", "val/ant")])
    assert splits.folder("test") == tmp_path / "test"
    assert splits.notes("test") == [f"{tmp_path / 'test'} is taken, and {tmp_path / 'val'} is not used"]
    assert splits.notes("train") == []


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ("test", "it holds no class folders"),
        ("test/__MACOSX", "it holds no class folders"),
        ("test/images", "its single folder 'images' is no class"),
        ("test/x", "it shares no class with train"),
    ],
)
def test_val_is_taken_if_test_has_no_classes_and_it_is_said_why(tmp_path, test, why):
    splits = SplitFolders([write(tmp_path, "train/ant", "train/bee", "val/ant", "val/bee", test)])
    assert splits.folder("test") == tmp_path / "val"
    expected = f"{tmp_path / 'val'} is taken, and {tmp_path / 'test'} is not used, because {why}"
    assert splits.notes("test") == [expected]
    splits.check("test")


def test_class_index_decides_which_of_several_folders_has_classes(tmp_path):
    splits = SplitFolders([write(tmp_path, "train/n01", "test/x", "val/n01")], ["n01"])
    assert splits.folder("test") == tmp_path / "val"
    assert splits.notes("test")[0].endswith("because none of its folders is in the class index file")


def test_split_in_another_place_is_taken_and_both_places_are_named(tmp_path):
    raw, external = write(tmp_path / "raw", "train/ant", "test"), write(tmp_path / "external", "test/ant", "train/bee")
    splits = SplitFolders([raw, external])
    assert splits.folder("train") == raw / "train"
    assert splits.folder("test") == external / "test"
    assert splits.notes("train") == [
        f"{raw / 'train'} is taken, and {external / 'train'} is not used",
        f"the splits are in different places: train is {raw / 'train'} and test is {external / 'test'}",
    ]


@pytest.mark.parametrize(
    ("folders", "missing", "similar"),
    [
        (["training/ant", "test/ant"], "train", "training"),
        (["Train/ant", "test/ant"], "train", "Train"),
        (["train_set/ant", "val/ant"], "train", "train_set"),
        (["train/ant", "validation/ant"], "test", "validation"),
        (["train/ant", "valid/ant"], "test", "valid"),
        (["train/ant", "Val/ant"], "test", "Val"),
    ],
)
def test_split_under_another_name_is_refused_for_every_split(tmp_path, folders, missing, similar):
    splits = SplitFolders([write(tmp_path / "x", *folders)])
    for split in ("train", "test"):
        with pytest.raises(DataError) as caught:
            splits.check(split)
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / 'x' / similar} looks like the split {missing}, but is not understood")
        assert "'train' is read as the split train, and 'test', or else 'val', as the split test" in text
        assert f"{tmp_path / 'x'} holds: " in text


def test_validation_next_to_test_is_left_alone(tmp_path):
    splits = SplitFolders([write(tmp_path, "train/ant", "test/ant", "validation/ant")])
    splits.check("train")
    splits.check("test")


@pytest.mark.parametrize(
    ("folders", "split", "found"),
    [
        (["val/ant"], "train", "holds: val."),
        (["train/ant"], "test", "holds: train."),
        (["ant", "bee"], "train", "holds: ant, bee. These folders hold images like classes"),
        (["pets/train/ant", "pets/val/ant"], "train", "one level deeper, in "),
        (["images/train/ant", "labels/train/ant"], "train", "one level deeper, in "),
        ([], "train", "There is no folder of the dataset."),
    ],
)
def test_missing_split_says_what_is_there_and_which_names_are_understood(tmp_path, folders, split, found):
    with pytest.raises(MissingError) as caught:
        SplitFolders([write(tmp_path / "x", *folders)]).check(split)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'x' / split} does not exist. Put one folder of images for each class there.")
    assert found in text
    assert text.endswith("'train' is read as the split train, and 'test', or else 'val', as the split test.")


def test_split_that_is_a_link_is_a_split_and_one_that_leads_nowhere_is_named(tmp_path):
    write(tmp_path, "disk/ant")
    (tmp_path / "train").symlink_to("disk")
    (tmp_path / "test").symlink_to("gone")
    splits = SplitFolders([tmp_path])
    splits.check("train")
    with pytest.raises(MissingError, match=r"test is a link that leads nowhere\. Put one folder"):
        splits.check("test")


def test_split_that_is_a_file_is_called_one(tmp_path):
    (tmp_path / "train").write_bytes(b"x")
    with pytest.raises(DynvisionError, match=r"train is a file\. Put one folder"):
        SplitFolders([tmp_path]).check("train")
