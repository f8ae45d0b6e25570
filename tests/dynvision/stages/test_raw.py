from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynvision.data.sources.exporting import open_export
from dynvision.errors import ConfigError, DataError, DynvisionError, MissingError
from dynvision.stages.raw import RawStage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.archives import write_cifar100_archive, write_mnist_files
from tests.helpers.configuration import edit_yaml, write_small_config
from tests.helpers.files import find_leftovers
from tests.helpers.servers import closed_address, serve_folder

pytestmark = pytest.mark.slow


def build(root: Path, config: Path, *targets: str, force: bool = False):
    return build_targets(targets, root=str(root), config=str(config), force=force)


def write_own_images(folder: Path, *classes: str, mode: str = "RGB") -> None:
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(2):
            Image.new(mode, (8, 8), 40 * number).save(folder / name / f"{number}.png")


def test_gratings_are_class_folders_with_a_manifest(tmp_path, small_config):
    (record,) = build(tmp_path, small_config, "raw/gratings:test")
    folder = tmp_path / "data" / "raw" / "gratings" / "test"
    assert sorted(p.name for p in folder.iterdir()) == ["0", "1", "2", "manifest.images.parquet", "manifest.json"]
    assert json.loads((folder / "manifest.json").read_text()) == record
    assert record["details"]["images"] == len(list(folder.rglob("*.png"))) == 12
    assert [(c["index"], c["name"], c["count"]) for c in record["details"]["classes"]] == [
        (0, "0 deg", 4),
        (1, "60 deg", 4),
        (2, "120 deg", 4),
    ]
    assert find_leftovers(tmp_path) == []


def test_same_settings_give_the_same_version_in_another_place(tmp_path):
    versions = set()
    for name in ("a", "b"):
        config = write_small_config(tmp_path / name / "config")
        (record,) = build(tmp_path / name, config, "raw/gratings:test")
        versions.add(record["data_version"])
    assert len(versions) == 1


def test_archive_goes_from_mirror_to_class_folders(tmp_path, small_config):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    written = write_cifar100_archive(mirror / "cifar-100-python.tar.gz")
    with serve_folder(mirror) as address:
        source = {"cifar100": {"url": f"{address}/cifar-100-python.tar.gz", "md5": written["md5"]}}
        edit_yaml(small_config / "config_data.yaml", lambda c: c.update(data_sources=source))
        (record,) = build(tmp_path, small_config, "raw/cifar100:test")
    folder = tmp_path / "data" / "raw" / "cifar100"
    images, labels = written["test"]
    assert sorted(p.name for p in folder.iterdir() if p.name[0] != ".") == ["archive", "test"]
    assert len([p for p in (folder / "test").iterdir() if p.is_dir()]) == 100
    for number, (label, image) in enumerate(zip(labels, images, strict=True)):
        assert np.array_equal(np.asarray(Image.open(folder / "test" / f"{label:02d}" / f"{number:05d}.png")), image)
    assert record["details"]["classes"][6]["folder"] == "06"
    # The mirror is gone; the archive that was kept is enough for the other split.
    (train,) = build(tmp_path, small_config, "raw/cifar100:train")
    assert train["details"]["images"] == 200


def test_archive_with_a_wrong_checksum_leaves_no_split(tmp_path, small_config):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    write_cifar100_archive(mirror / "cifar-100-python.tar.gz")
    with serve_folder(mirror) as address:
        source = {"cifar100": {"url": f"{address}/cifar-100-python.tar.gz", "md5": "0" * 32}}
        edit_yaml(small_config / "config_data.yaml", lambda c: c.update(data_sources=source))
        with pytest.raises(DataError, match="has the wrong checksum: MD5 "):
            build(tmp_path, small_config, "raw/cifar100:test")
    assert not (tmp_path / "data" / "raw" / "cifar100" / "test").exists()
    assert find_leftovers(tmp_path) == []


def test_offline_and_missing_says_where_to_put_which_file(tmp_path, small_config):
    source = {"cifar10": {"url": f"{closed_address()}/cifar-10-python.tar.gz", "md5": "0" * 32}}
    edit_yaml(small_config / "config_data.yaml", lambda c: c.update(data_sources=source))
    with pytest.raises(MissingError) as caught:
        build(tmp_path, small_config, "raw/cifar10:train")
    path = tmp_path / "data" / "raw" / "cifar10" / "archive" / "cifar-10-python.tar.gz"
    assert f"Put it at {path} (MD5 {'0' * 32})" in str(caught.value)
    assert not (tmp_path / "data" / "raw" / "cifar10" / "train").exists()


def test_folders_that_torchvision_leaves_are_no_datasets_and_stay(tmp_path, small_config):
    raw = tmp_path / "data" / "raw"
    (raw / "MNIST" / "raw").mkdir(parents=True)
    (raw / "cifar-100-python").mkdir()
    (raw / "cifar-100-python" / "meta").write_text("torchvision's own")
    written = write_mnist_files(raw / "MNIST" / "raw")
    source = {"mnist": {"url": closed_address(), "files": written["files"]}}
    edit_yaml(small_config / "config_data.yaml", lambda c: c.update(data_sources=source))
    workspace = Workspace.open(tmp_path, small_config)
    assert [key for key in workspace.keys if key[0] == "raw"] == [
        ("raw", name) for name in ("gratings", "mnist", "cifar10", "cifar100")
    ]
    (record,) = build(tmp_path, small_config, "raw/mnist:test")
    assert record["details"]["images"] == 20
    assert record["details"]["channels"] == 1
    assert (raw / "cifar-100-python" / "meta").read_text() == "torchvision's own"
    assert sorted(p.name for p in (raw / "MNIST" / "raw").iterdir()) == sorted(written["files"])


def test_folder_of_someone_else_is_in_the_way_and_is_left_alone(tmp_path, small_config):
    folder = tmp_path / "data" / "raw" / "gratings" / "test"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("precious")
    for force in (False, True):
        with pytest.raises(DataError) as caught:
            build(tmp_path, small_config, "raw/gratings:test", force=force)
        assert str(caught.value) == (
            f"{folder} is in the way: mine.txt in it was not written by this project. Move it elsewhere; nothing of "
            "yours is deleted."
        )
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]
    assert find_leftovers(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "link that leads nowhere"])
def test_file_of_someone_else_is_in_the_way_and_is_left_alone(tmp_path, small_config, kind, force):
    path = tmp_path / "data" / "raw" / "gratings" / "test"
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("precious")
    else:
        path.symlink_to("precious")
    with pytest.raises(DataError) as caught:
        build(tmp_path, small_config, "raw/gratings:test", force=force)
    assert str(caught.value) == (
        f"{path} is in the way: it is not a folder, so this project did not write it. Move it elsewhere; nothing of "
        "yours is deleted."
    )
    assert (path.read_text() if kind == "file" else os.readlink(path)) == "precious"


def test_data_root_that_is_not_writable_says_what_to_do(tmp_path, small_config):
    (tmp_path / "file").write_text("")
    with pytest.raises(DynvisionError) as caught:
        build(tmp_path / "file" / "root", small_config, "raw/gratings:test")
    assert "cannot make the folder" in str(caught.value)
    assert str(tmp_path / "file" / "root") in str(caught.value)
    assert "set DYNVISION_ROOT" in str(caught.value)


def test_dataset_of_the_users_own_is_counted_where_it_is(tmp_path, small_config):
    edit_yaml(small_config / "config_data.yaml", lambda c: c["data_resolution"].update(mine=8))
    write_own_images(tmp_path / "data" / "raw" / "mine" / "train", "cat", "dog")
    (record,) = build(tmp_path, small_config, "raw/mine:train")
    assert [(c["index"], c["name"], c["count"]) for c in record["details"]["classes"]] == [(0, "cat", 2), (1, "dog", 2)]
    assert record["details"]["source"] == "data/raw/mine/train"
    assert sorted(p.name for p in (tmp_path / "data" / "raw" / "mine" / "train").iterdir()) == ["cat", "dog"]


def test_missing_dataset_of_the_users_own_says_where_to_put_it(tmp_path, small_config):
    edit_yaml(small_config / "config_data.yaml", lambda c: c["data_resolution"].update(mine=8))
    with pytest.raises(
        MissingError, match=r"data/raw/mine/train does not exist\. Put one folder of images for each class"
    ):
        build(tmp_path, small_config, "raw/mine:train")


def test_mounted_dataset_stays_where_it_is_and_takes_names_from_its_class_index(tmp_path, small_config):
    mount = tmp_path / "scratch" / "photos"
    write_own_images(mount / "val", "n02", "n09")
    (tmp_path / "index.json").write_text(json.dumps({"3": ["n09", "fly"], "8": ["n02", "bee"], "9": ["n11", "ant"]}))

    def change(content):
        content["data_resolution"]["photos"] = 8
        content["mounted_datasets"] = {"photos": str(mount)}
        content["class_index_files"] = {"photos": "index.json"}

    edit_yaml(small_config / "config_data.yaml", change)
    (record,) = build(tmp_path, small_config, "raw/photos:test")
    assert [(c["index"], c["name"]) for c in record["details"]["classes"]] == [(3, "fly"), (8, "bee")]
    assert record["details"]["source"] == str(mount / "val") or record["details"]["source"] == "scratch/photos/val"
    assert sorted(p.name for p in mount.iterdir()) == ["val"]


def test_class_index_file_that_cannot_be_read_names_the_key(tmp_path, small_config):
    def change(content):
        content["data_resolution"]["mine"] = 8
        content["class_index_files"] = {"mine": "gone.json"}

    edit_yaml(small_config / "config_data.yaml", change)
    write_own_images(tmp_path / "data" / "raw" / "mine" / "train", "cat")
    with pytest.raises(ConfigError, match=r"config_data\.yaml: class_index_files\.mine: cannot read .*gone\.json"):
        build(tmp_path, small_config, "raw/mine:train")


def test_rebuilding_replaces_what_this_project_wrote(tmp_path, small_config):
    build(tmp_path, small_config, "raw/gratings:test")
    folder = tmp_path / "data" / "raw" / "gratings" / "test"
    shutil.rmtree(folder / "0")
    build(tmp_path, small_config, "raw/gratings:test", force=True)
    assert len(list(folder.rglob("*.png"))) == 12
    assert sorted(p.name for p in folder.parent.iterdir() if p.name[0] != ".") == ["test"]


def test_a_forced_export_keeps_nothing_of_an_interrupted_one(tmp_path, small_config):
    build(tmp_path, small_config, "raw/gratings:test")
    folder = tmp_path / "data" / "raw" / "gratings" / "test"
    pixels = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}
    stage = Workspace.open(tmp_path, small_config).stages.of(RawStage)
    target = Target(("raw", "gratings"), "test")
    unfinished = open_export(folder, {"code": stage.code_version, **stage.settings(target)})
    for path in pixels:
        (unfinished / path.parent).mkdir(exist_ok=True)
        (unfinished / path).write_bytes(b"left over")
    build(tmp_path, small_config, "raw/gratings:test", force=True)
    assert {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")} == pixels
