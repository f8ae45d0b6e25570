"""Which folder is the root, and which is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynvision.config import find_config_folder
from dynvision.errors import ConfigError
from dynvision.roots import find_root, passed_over
from dynvision.workspace import Workspace

FILE = "config/config_models.yaml"


def make(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a folder `notes/2024` in which the test is. The home folder is elsewhere."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PWD", raising=False)
    inside = tmp_path / "root" / "notes" / "2024"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    return tmp_path / "root"


@pytest.mark.parametrize(
    "mark",
    [
        FILE,
        ".dagster/dynvision_workspace.yaml",
        "data/raw/own/train.manifest.json",
        "data/raw/gratings/train/manifest.json",
        "data/interim/own/train_all/folder.link",
        "data/models/rcnn/own/all_s0/record.json",
    ],
)
def test_a_command_in_a_subfolder_uses_the_root_above(root: Path, mark: str) -> None:
    make(root / mark)
    assert find_root() == root


@pytest.mark.parametrize(
    "mark", ["data/raw/own/train/a/1.png", "config/other.yaml", ".dagster/dagster.yaml", "data/external/own/1.png"]
)
def test_a_folder_of_another_project_is_no_root(root: Path, mark: str) -> None:
    make(root / mark)
    assert find_root() == root / "notes" / "2024"


def test_the_nearest_root_is_the_one(root: Path) -> None:
    make(root / FILE)
    make(root / "notes" / FILE)
    assert find_root() == root / "notes"


def test_the_home_folder_is_a_root_only_for_whoever_is_in_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root / FILE)
    monkeypatch.setenv("HOME", str(root))
    assert find_root() == root / "notes" / "2024"
    monkeypatch.chdir(root)
    assert find_root() == root


def test_a_configuration_that_anybody_may_have_put_there_is_not_used(root: Path) -> None:
    make(root / FILE)
    root.chmod(0o777)
    assert find_root() == root / "notes" / "2024"


def test_a_link_to_another_disk_leads_back_to_its_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(root / FILE)
    disk = root.parent / "disk"
    disk.mkdir()
    (root / "data").symlink_to(disk)
    monkeypatch.chdir(disk)
    monkeypatch.setenv("PWD", str(root / "data"))  # as a shell has it
    assert find_root() == root


def test_the_variable_may_be_relative_or_begin_with_a_tilde(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "home").mkdir()
    for text, folder in (("..", root / "notes"), ("~", root.parent / "home"), ("", root / "notes" / "2024")):
        monkeypatch.setenv("DYNVISION_ROOT", text)
        assert find_root() == folder


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("typo", r"^DYNVISION_ROOT names .*2024/typo, which does not exist\. For a new root, .*: mkdir -p"),
        ("../../config/config_models.yaml", "config_models.yaml, which is not a folder"),
        ("  ", "DYNVISION_ROOT is blank"),
        ("~nobody_of_this_name/x", "DYNVISION_ROOT is '~nobody_of_this_name/x', which is no folder"),
    ],
)
def test_a_root_that_does_not_exist_is_not_made(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    make(root / FILE)
    before = sorted(root.rglob("*"))
    monkeypatch.setenv("DYNVISION_ROOT", text)
    with pytest.raises(ConfigError, match=sentence):
        Workspace.open()
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("typo", "DYNVISION_CONFIG names .*typo, which does not exist"),
        ("../../config/config_models.yaml", "is a file; name the folder that it is in"),
        ("\t", "DYNVISION_CONFIG is blank"),
        ("~nobody_of_this_name", "DYNVISION_CONFIG is '~nobody_of_this_name'"),
    ],
)
def test_a_config_folder_that_does_not_exist_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    make(root / FILE)
    monkeypatch.setenv("DYNVISION_CONFIG", text)
    with pytest.raises(ConfigError, match=sentence):
        find_config_folder(root)


def test_a_deleted_current_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises(ConfigError, match="the current folder was deleted"):
            find_root()
    finally:
        os.chdir(tmp_path)


@pytest.mark.parametrize(("mode", "why"), [(0o777, "anybody may write to it"), (0o755, "it is your home folder")])
def test_a_root_that_is_passed_over_is_said(root: Path, monkeypatch: pytest.MonkeyPatch, mode: int, why: str) -> None:
    make(root / FILE)
    root.chmod(mode)
    if mode == 0o755:
        monkeypatch.setenv("HOME", str(root))
    assert why in passed_over(find_root())
    make(root / "notes" / "2024" / FILE)
    assert passed_over(find_root()) == "", "the folder is a root of its own"
