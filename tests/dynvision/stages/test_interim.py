from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from dynvision.data.group_folder import GroupFolder
from dynvision.errors import ConfigError, DataError, MissingError
from dynvision.paths import Paths
from dynvision.workspace.building import build_targets
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml


def build(root: Path, config: Path, *targets: str, force: bool = False):
    return build_targets(targets, root=str(root), config=str(config), force=force)


@pytest.fixture
def pair(tmp_path, small_config) -> Path:
    """`interim/gratings:test_pair`, built: classes 2 and 0, in this order."""
    build_chain(tmp_path, small_config, "interim/gratings:test_pair")
    return tmp_path / "data" / "interim" / "gratings" / "test_pair"


def test_group_is_one_relative_link_a_class_and_its_record(pair, tmp_path):
    assert sorted(p.name for p in pair.iterdir()) == ["0", "2", "folder.images.parquet", "folder.link"]
    for name in ("0", "2"):
        assert (pair / name).is_symlink()
        assert not Path(os.readlink(pair / name)).is_absolute()
        assert (pair / name).resolve() == (tmp_path / "data" / "raw" / "gratings" / "test" / name).resolve()


def test_root_can_be_moved_with_its_links(pair, tmp_path):
    os.rename(tmp_path / "data", tmp_path / "moved")
    assert len(list((tmp_path / "moved" / "interim" / "gratings" / "test_pair" / "2").iterdir())) == 4


def test_group_folder_gives_labels_in_both_spaces(pair, tmp_path):
    folder = GroupFolder(pair, Paths(tmp_path))
    assert len(folder) == 8
    assert folder.targets == [2] * 4 + [0] * 4
    assert folder.group_targets == [0] * 4 + [1] * 4
    assert folder.classes == ["120 deg", "0 deg"]
    assert folder.class_to_idx == {"120 deg": 2, "0 deg": 0}
    image, label = folder[0]
    assert isinstance(image, Image.Image)
    assert (image.size, image.mode, label) == ((16, 16), "RGB", 2)


def test_group_folder_that_was_not_made_names_the_command(tmp_path):
    place = tmp_path / "data" / "interim" / "gratings" / "test_pair"
    with pytest.raises(
        MissingError, match=r"has no folder\.link\. Make it: dynvision make data/interim/gratings/test_pair"
    ):
        GroupFolder(place, Paths(tmp_path))


def test_missing_upstream_names_the_command(tmp_path, small_config):
    with pytest.raises(MissingError) as caught:
        build(tmp_path, small_config, "interim/gratings:test_all")
    assert str(caught.value) == (
        "interim/gratings:test_all is made from raw/gratings:test, which is missing. "
        "Make it: dynvision make raw/gratings:test"
    )


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_someone_else_put_there_is_in_the_way_and_is_left_alone(pair, tmp_path, small_config, kind):
    foreign = pair / "1"
    if kind == "file":
        foreign.write_text("precious")
    else:
        foreign.mkdir()
        (foreign / "mine.txt").write_text("precious")
    with pytest.raises(DataError) as caught:
        build(tmp_path, small_config, "interim/gratings:test_pair", force=True)
    assert f"{foreign} is in the way: it is not a link of this project" in str(caught.value)
    assert (foreign if kind == "file" else foreign / "mine.txt").read_text() == "precious"
    assert (pair / "0").is_symlink()


def test_changed_group_changes_the_links(pair, tmp_path, small_config):
    edit_yaml(small_config / "config_data.yaml", lambda c: c["data_groups"].update(gratings={"pair": [1, 2]}))
    (record,) = build(tmp_path, small_config, "interim/gratings:test_pair")
    assert sorted(p.name for p in pair.iterdir()) == ["1", "2", "folder.images.parquet", "folder.link"]
    assert [(c["index"], c["group_index"]) for c in record["details"]["classes"]] == [(1, 0), (2, 1)]
    assert (tmp_path / "data" / "raw" / "gratings" / "test" / "0").is_dir()


def test_class_outside_a_dataset_of_ones_own_is_named(tmp_path, small_config):
    def change(content):
        content["data_resolution"]["mine"] = 8
        content["data_groups"]["mine"] = {"far": [0, 5]}

    edit_yaml(small_config / "config_data.yaml", change)
    for name in ("cat", "dog"):
        place = tmp_path / "data" / "raw" / "mine" / "train" / name
        place.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / "0.png")
    expected = r"config_data\.yaml: data_groups\.mine\.far: class index 5 is outside 'mine', whose classes are 0 to 1"
    with pytest.raises(ConfigError, match=expected):
        build_chain(tmp_path, small_config, "interim/mine:train_far")


def test_images_that_went_missing_since_are_noticed(pair, tmp_path):
    lost = sorted((tmp_path / "data" / "raw" / "gratings" / "test" / "2").glob("*.png"))[1]
    lost.unlink()
    with pytest.raises(DataError) as caught:
        GroupFolder(pair, Paths(tmp_path))
    assert str(caught.value) == (
        f"{lost.parent} holds 3 images where 4 were recorded ({lost.name} is missing). Make the raw stage again: "
        "dynvision make --force raw/gratings"
    )
