"""Images that this project did not write: they are not copied, and are looked at again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynvision.data.group_folder import GroupFolder
from dynvision.data.sources.folders import folder_scan
from dynvision.errors import DataError, MissingError, UnknownNameError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from tests.helpers.configuration import edit_yaml


def draw(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), value, dtype=np.uint8)).save(path)


@pytest.fixture
def own(tmp_path, small_config) -> Workspace:
    """A dataset `own` with the classes a, b, c in train and only a and c in test."""
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update({"own": 16}))
    for number, name in enumerate("abc"):
        for index in range(3):
            draw(tmp_path / f"data/raw/own/train/{name}/{index}.png", 50 * number + 1)
            if name != "b":
                draw(tmp_path / f"data/raw/own/test/{name}/{index}.png", 50 * number)
    return Workspace.open(tmp_path, small_config)


def build(workspace: Workspace, *targets: str) -> list[dict]:
    root, config = str(workspace.paths.root), str(workspace.config.folder)
    return [build_targets([target], root=root, config=config)[0] for target in targets]


def reopen(workspace: Workspace) -> Workspace:
    return Workspace.open(workspace.paths.root, workspace.config.folder)


def states(workspace: Workspace) -> dict[str, str]:
    known: dict = {}
    targets = [Target(("raw", "own"), "train"), Target(("raw", "own"), "test"), Target(("interim", "own"), "test_all")]
    return {str(target): workspace.status(target, known).state for target in targets}


def test_class_that_is_absent_from_one_split_keeps_its_index_in_the_other(own):
    build(own, "raw/own:train", "raw/own:test", "interim/own:test_all")
    dataset = GroupFolder(own.paths.interim("own", "test_all"), own.paths)
    assert dataset.class_to_idx == {"a": 0, "c": 2}
    assert {int(np.asarray(image)[0, 0, 0]): label for image, label in dataset} == {0: 0, 100: 2}


def test_image_that_is_added_or_replaced_makes_what_follows_stale(own):
    build(own, "raw/own:train", "raw/own:test", "interim/own:test_all")
    assert set(states(reopen(own)).values()) == {"fresh"}
    draw(own.paths.raw("own", "test") / "a" / "9.png", 7)
    assert states(reopen(own)) == {"raw/own:train": "fresh", "raw/own:test": "stale", "interim/own:test_all": "stale"}
    build(own, "raw/own:test", "interim/own:test_all")
    replaced = own.paths.raw("own", "test") / "a" / "9.png"
    draw(replaced, 8)
    os.utime(replaced, ns=(1, 1))
    assert states(reopen(own))["raw/own:test"] == "stale"


def test_other_order_of_classes_is_another_version_and_reaches_the_labels(own):
    def give_order(order: str) -> None:
        (own.paths.root / "order.json").write_text(json.dumps({i: [name, name] for i, name in enumerate(order)}))

    edit_yaml(
        own.config.folder / "config_data.yaml",
        lambda content: content.update(class_index_files={"own": "order.json"}),
    )
    give_order("abc")
    build(own, "raw/own:train", "raw/own:test", "interim/own:test_all")
    give_order("cba")
    assert set(states(reopen(own)).values()) == {"stale"}
    build(own, "raw/own:train", "raw/own:test", "interim/own:test_all")
    assert GroupFolder(own.paths.interim("own", "test_all"), own.paths).class_to_idx == {"c": 0, "a": 2}


def test_dataset_that_is_mounted_is_read_from_there(own, tmp_path):
    build(own, "raw/own:test")
    for name in "ac":
        draw(tmp_path / f"elsewhere/val/{name}/0.png", 1)
    edit_yaml(
        own.config.folder / "config_data.yaml",
        lambda content: content.update({"mounted_datasets": {"own": str(tmp_path / "elsewhere")}}),
    )
    assert states(reopen(own))["raw/own:test"] == "stale"
    build(reopen(own), "raw/own:test", "interim/own:test_all")
    link = own.paths.interim("own", "test_all") / "a"
    assert link.resolve() == tmp_path / "elsewhere/val/a"
    assert sorted(p.name for p in (tmp_path / "elsewhere").rglob("*")) == ["0.png", "0.png", "a", "c", "val"]


def test_mounted_folder_that_is_relative_starts_at_the_root(own, tmp_path, monkeypatch):
    draw(own.paths.root / "disk/test/a/0.png", 1)
    edit_yaml(
        own.config.folder / "config_data.yaml", lambda content: content.update({"mounted_datasets": {"own": "disk"}})
    )
    monkeypatch.chdir("/")
    target = Target(("raw", "own"), "test")
    assert reopen(own).stage(target).output(target) == own.paths.root / "disk/test"


def test_folder_that_is_not_a_dataset_yet_says_where_to_name_it(own):
    draw(own.paths.root / "data/raw/photos/train/a/0.png", 1)
    with pytest.raises(
        UnknownNameError, match=r"data/raw/photos becomes a dataset when data_resolution in .*config_data"
    ):
        own.check_key(("raw", "photos"))
    with pytest.raises(UnknownNameError, match=r"Valid: [^.]*\.$"):
        own.check_key(("raw", "nothing"))


def test_image_that_is_missing_from_an_export_is_noticed_before_it_is_linked(tmp_path, small_config):
    workspace = Workspace.open(tmp_path, small_config)
    build(workspace, "raw/gratings:test")
    path = tmp_path / "data/raw/gratings/test/0/00003.png"
    path.unlink()
    with pytest.raises(MissingError) as caught:
        build(workspace, "interim/gratings:test_pair")
    assert str(caught.value) == (
        f"interim/gratings:test_pair is made from raw/gratings:test, which is damaged ({path} is missing: these are "
        "not the recorded images. Build it again: dynvision make --force raw/gratings:test). Make it: dynvision make "
        "raw/gratings:test"
    )
    assert not (tmp_path / "data/interim/gratings/test_pair/0").exists()


@pytest.mark.slow
def test_image_changed_in_place_among_many_is_noticed_before_it_is_converted(own, monkeypatch):
    """If class folders are cached, a change in place leaves no trace in them."""
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", 3)
    build(own, "raw/own:train", "raw/own:test", "interim/own:test_all")
    assert set(states(reopen(own)).values()) == {"fresh"}
    changed = own.paths.raw("own", "test") / "a" / "0.png"
    draw(changed, 99)
    assert states(reopen(own))["raw/own:test"] == "fresh", "it is remembered; otherwise this tests nothing"
    with pytest.raises(DataError, match=r"were changed since they were looked at\. Look again: dynvision make raw/own"):
        build(own, "processed/own:test_all")
    assert states(reopen(own)) == {"raw/own:train": "fresh", "raw/own:test": "stale", "interim/own:test_all": "stale"}
    build(own, "raw/own:test", "interim/own:test_all", "processed/own:test_all")


@pytest.mark.slow
def test_files_that_are_not_images_are_left_out_and_reported(own):
    folder = own.paths.raw("own", "test") / "a"
    (folder / "notes.txt").write_text("taken in May")
    (folder / "scan.gif").write_bytes(b"GIF89a")
    (folder / ".hidden").write_text("")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (record,) = build(own, "raw/own:test")
    assert [c["count"] for c in record["details"]["classes"]] == [3, 3]
    results = {
        r["name"]: r for r in check_targets(["raw/own:test"], root=str(own.paths.root), config=str(own.config.folder))
    }
    check = results["every_file_is_an_image"]
    assert not check["passed"]
    assert check["numbers"] == {"left_out": 4}
    assert check["offenders"] == ["a/folder.png and 3 more"]
    assert results["classes_hold_the_images_that_were_counted"]["passed"]
    assert results["a_sample_of_images_can_be_decoded"]["passed"]
    build(own, "interim/own:test_all", "processed/own:test_all")
