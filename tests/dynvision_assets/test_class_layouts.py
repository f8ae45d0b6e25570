"""Class folders through the command line: what is built, what is said, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import dynvision_assets as dva
from tests.helpers.commands import call_dynvision, run_dynvision
from tests.helpers.configuration import edit_yaml, write_small_config

BASE = "data/raw/own"


def write(root: Path, *folders: str) -> None:
    for number, name in enumerate(folders):
        (root / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (10 * number, 0, 0)).save(root / name / "0.png")


def write_splits(root: Path, train: list[str], test: list[str], name: str = "test") -> None:
    write(root, *(f"{BASE}/train/{n}" for n in train), *(f"{BASE}/{name}/{n}" for n in test))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_small_config(tmp_path / "config")
    edit_yaml(tmp_path / "config/config_data.yaml", lambda content: content["data_resolution"].update(own=8))
    monkeypatch.setenv("DYNVISION_ROOT", str(tmp_path))
    monkeypatch.delenv("DYNVISION_CONFIG", raising=False)
    return tmp_path


def set_class_index(root: Path, content: dict[str, list[str]]) -> None:
    (root / "index.json").write_text(json.dumps(content))
    edit_yaml(root / "config/config_data.yaml", lambda c: c.update(class_index_files={"own": "index.json"}))


def class_indices(split: str) -> dict[str, int]:
    return dva.load(f"interim/own:{split}_all").class_to_idx


def test_labels_are_the_same_in_every_split_if_one_has_a_class_more(root):
    write_splits(root, ["1", "2", "10"], ["1", "2", "10", "unknown"])
    result = run_dynvision(root, "make", "interim/own")
    assert result.returncode == 0, result.stderr
    assert class_indices("train") == {"1": 0, "10": 1, "2": 2}
    assert class_indices("test") == {"1": 0, "10": 1, "2": 2, "unknown": 3}
    said = result.stderr
    assert "raw/own:train: train lacks 1 of 4 classes: unknown" in said
    assert "raw/own:test: not all names are whole numbers (unknown), so a class's index is its" in said


def test_labels_from_one_on_are_said_to_leave_class_zero_empty(root):
    write_splits(root, ["1", "2"], ["1", "2"])
    result = run_dynvision(root, "make", "interim/own")
    assert result.returncode == 0, result.stderr
    assert "raw/own:train: class 0 is empty: no folder has this index. The indices are 1 to 2" in result.stderr
    assert class_indices("train") == class_indices("test") == {"1": 1, "2": 2}


def test_classes_of_one_name_are_both_in_the_table_of_every_split(root):
    set_class_index(root, {"0": ["n02", "crane"], "1": ["n03", "crane"], "2": ["n01", "ant"]})
    write_splits(root, ["n01", "n02", "n03"], ["n01", "n02"], "val")
    assert run_dynvision(root, "make", "interim/own").returncode == 0
    assert class_indices("train") == {"crane (n02)": 0, "crane (n03)": 1, "ant": 2}
    assert class_indices("test") == {"crane (n02)": 0, "ant": 2}


def test_flat_test_folder_gives_way_to_val(root):
    write_splits(root, ["ant", "bee"], ["ant", "bee"], "val")
    write(root, f"{BASE}/test")
    result = run_dynvision(root, "make", "interim/own")
    assert result.returncode == 0, result.stderr
    said = f"{root / BASE / 'val'} is taken, and {root / BASE / 'test'} is not used, because it holds no class folders"
    assert f"raw/own:test: {said}" in result.stderr
    assert class_indices("test") == {"ant": 0, "bee": 1}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["train/n01", "train/n02", "val/images"], r"val holds the single folder 'images'"),
        (["train/n01/images", "train/n02/images", "test/n01"], r"one level deeper, in n01/images: move them up"),
        (["train/n01", "validation/n01"], r"validation looks like the split test, but is not understood"),
        (["train/n01"], r"own/test does not exist\..* holds: train\..*'test', or else 'val', as the split test"),
        (["val/n01"], r"own/train does not exist\..* holds: val\..*'train' is read as the split train"),
        (["n01", "n02"], r"own/train does not exist\..* holds: n01, n02\. These folders hold images like classes"),
        (["Train/n01", "test/n01"], r"Train looks like the split train"),
        (["train/n01440764", "test/1"], r"share no class: n01440764 in the first, 1 in the second"),
        (["train/Cat", "train/dog", "test/cat", "test/dog"], r"'Cat' and 'cat' look alike but would be two classes"),
        (["train", "test"], r"train holds no class folders\..*Found there: 1 images"),
    ],
)
def test_layout_that_is_not_understood_ends_with_what_was_found(root, folders, message):
    write(root, *(f"{BASE}/{name}" for name in folders))
    result = call_dynvision(root, "make", "raw/own")
    assert result.exit_code == 1
    assert re.search(message, " ".join(result.output.split())), result.output
    assert "Traceback" not in result.output


def test_class_index_file_with_a_folder_twice_ends_with_both_indices(root):
    set_class_index(root, {"0": ["ant", "ant"], "1": ["ant", "bee"]})
    write_splits(root, ["ant"], ["ant"])
    result = call_dynvision(root, "make", "raw/own")
    assert result.exit_code == 2, "a wrong configuration"
    assert "the folder 'ant' has the indices 0, 1. A folder is one class" in result.output


def test_splits_in_two_places_share_their_classes_and_both_places_are_named(root):
    write(root, f"{BASE}/train/1", f"{BASE}/train/2", "data/external/own/test/2", "data/external/own/test/x")
    result = run_dynvision(root, "make", "interim/own")
    assert result.returncode == 0, result.stderr
    assert class_indices("train") == {"1": 0, "2": 1}
    assert class_indices("test") == {"2": 1, "x": 2}
    assert "raw/own:test: the splits are in different places: train is " in result.stderr


def test_known_dataset_that_is_mounted_has_no_more_classes_than_it_is_known_for(root):
    write(root, *(f"disk/{split}/{number}" for split in ("train", "test") for number in (0, 1, 10)))
    edit_yaml(root / "config/config_data.yaml", lambda c: c.update(mounted_datasets={"gratings": "disk"}))
    result = call_dynvision(root, "make", "raw/gratings:test")
    assert result.exit_code == 1
    assert "the class '10' has the index 10, but 'gratings' has 3 classes, 0 to 2" in result.output
