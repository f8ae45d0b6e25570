"""Stimulus sets that come in one file: BrainIO's CSV with a zip, NumPy and Zarr arrays."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
import zarr
from PIL import Image

import dynvision_assets as dva
from dynvision.config.sections.data import DataConfig
from dynvision.errors import DataError, MissingError
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import FOLDER, build, draw_photo, state, write_set

pytestmark = pytest.mark.slow

BRAINIO = """\
,stimulus_id,filename,object_name
0,hash2,b.png,dog
1,hash3,deeper/c.jpg,car
2,hash1,a.png,dog
"""


def write_packed(root, images, table=None):
    """Write a configuration with the images in one file."""
    config = write_set(root, None)
    given = {"resolution": 16, "images": images}
    if table is not None:
        (root / "stimuli.csv").write_text(table)
        given["table"] = "stimuli.csv"
    edit_yaml(config / "config_data.yaml", set_at("stimulus_sets", {"scenes": given}))


def zip_photos(root, prefix="", names=("a.png", "b.png", "deeper/c.jpg")):
    with zipfile.ZipFile(root / "images.zip", "w") as file:
        for name in names:
            file.write(root / FOLDER / name, prefix + name)


@pytest.mark.parametrize("prefix", ["", "stimuli/"])
def test_a_csv_and_a_zip_as_brainio_keeps_them(tmp_path, prefix):
    write_packed(tmp_path, "images.zip", BRAINIO)
    zip_photos(tmp_path, prefix)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["stimulus_id"] == ["hash2", "hash3", "hash1"]
    assert loaded.stimuli["object_name"] == ["dog", "car", "dog"]
    assert loaded[0][0].size == (40, 18)
    assert (tmp_path / "data/raw/scenes/images" / prefix / "a.png").is_file()
    assert state(tmp_path, "interim/scenes:all") == ("fresh", "")


def test_images_may_be_named_by_their_stimulus_id(tmp_path):
    write_packed(tmp_path, "images.zip", "stimulus_id,kind\nc,1\na,2\nb,3\n")
    zip_photos(tmp_path)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli == {
        "filename": ["deeper/c.jpg", "a.png", "b.png"],
        "stimulus_id": ["c", "a", "b"],
        "kind": [1, 2, 3],
    }


def test_another_archive_makes_the_set_stale_and_is_unpacked_afresh(tmp_path):
    write_packed(tmp_path, "images.zip")
    zip_photos(tmp_path)
    build(tmp_path, "interim/scenes")
    zip_photos(tmp_path, names=("a.png", "b.png"))
    assert state(tmp_path, "raw/scenes:all") == ("stale", "the images changed: images.zip")
    build(tmp_path, "interim/scenes")
    assert len(dva.load("interim/scenes", root=tmp_path)) == 2


def test_an_archive_that_is_gone_is_not_needed_any_more(tmp_path):
    write_packed(tmp_path, "images.zip")
    zip_photos(tmp_path)
    build(tmp_path, "raw/scenes")
    (tmp_path / "images.zip").unlink()
    assert state(tmp_path, "raw/scenes:all") == ("fresh", "")
    shutil.rmtree(tmp_path / "data/raw/scenes")
    with pytest.raises(MissingError, match=r"images.zip does not exist. It holds the images of .*stimulus_sets.scenes"):
        build(tmp_path, "raw/scenes")


def test_files_of_the_users_own_are_not_deleted(tmp_path):
    write_packed(tmp_path, "images.zip")
    zip_photos(tmp_path)
    own = tmp_path / "data/raw/scenes/images/mine.png"
    draw_photo(own, 7)
    with pytest.raises(DataError, match=r"is in the way: 'mine.png' in it was not written from"):
        build(tmp_path, "raw/scenes")
    assert own.is_file()


def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path):
    write_packed(tmp_path, "images.zip")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        file.write(tmp_path / FOLDER / "a.png", "../out.png")
    with pytest.raises(DataError, match=r"images.zip cannot be unpacked: its member"):
        build(tmp_path, "raw/scenes")
    (tmp_path / "images.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"images.zip cannot be unpacked"):
        build(tmp_path, "raw/scenes")


def draw_images(shape, dtype):
    """Images of noise, the same for every type."""
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    if dtype == "float32":
        return (pixels / 255).astype(dtype)
    return (pixels * 257 if dtype == "uint16" else pixels).astype(dtype)


@pytest.mark.parametrize("path", ["images.npy", "all.zarr/pictures"])
def test_arrays_are_shown_pixel_by_pixel_in_the_order_of_the_table(tmp_path, path):
    images = draw_images((3, 20, 24, 3), "uint8")
    write_packed(tmp_path, path, "stimulus_id,angle\nx,0.5\ny,1.5\nz,2.5\n")
    if path.endswith(".npy"):
        np.save(tmp_path / path, images)
    else:
        zarr.open_group(str(tmp_path / "all.zarr"), mode="w").create_array("pictures", data=images)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["stimulus_id"] == ["x", "y", "z"]
    assert loaded.stimuli["filename"] == ["00000.png", "00001.png", "00002.png"]
    np.testing.assert_array_equal([np.asarray(image) for image, _ in loaded], images)
    assert state(tmp_path, "interim/scenes:all") == ("fresh", "")


def test_a_group_of_arrays_and_another_number_of_rows_are_refused(tmp_path):
    write_packed(tmp_path, "all.zarr", "stimulus_id\nx\n")
    group = zarr.open_group(str(tmp_path / "all.zarr"), mode="w")
    group.create_array("pictures", data=draw_images((3, 8, 8), "uint8"))
    with pytest.raises(DataError, match=r"all.zarr is a group of arrays. Name one of them: all.zarr/pictures"):
        build(tmp_path, "raw/scenes")
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.images", "all.zarr/pictures"))
    with pytest.raises(DataError, match=r"stimuli.csv has 1 rows, and .* 3 images"):
        build(tmp_path, "raw/scenes")


def test_what_is_neither_an_archive_nor_an_array_is_refused_when_the_configuration_is_read():
    with pytest.raises(ValueError, match="is neither an archive"):
        DataConfig(stimulus_sets={"scenes": {"resolution": 16, "images": "photos"}})
    with pytest.raises(ValueError, match="not both"):
        DataConfig(stimulus_sets={"scenes": {"resolution": 16, "images": "x.zip", "folder": "photos"}})


def test_grey_arrays_become_grey_files(tmp_path):
    write_packed(tmp_path, "images.npy")
    np.save(tmp_path / "images.npy", draw_images((2, 9, 9), "uint8"))
    build(tmp_path, "raw/scenes")
    with Image.open(tmp_path / "data/raw/scenes/images/00001.png") as image:
        assert image.mode == "L"
