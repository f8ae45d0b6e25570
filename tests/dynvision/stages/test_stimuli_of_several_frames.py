"""Stimuli of several frames: folders of images, and video files."""

from __future__ import annotations

import numpy as np
import pytest

import dynvision_assets as dva
from dynvision.config.sections.data import DataConfig
from dynvision.errors import DataError
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import build, draw_photo, state, write_frames, write_movie, write_set

pytestmark = pytest.mark.slow

TABLE = "filename,stimulus_id,speed\nrun,r,2.5\nwalk,w,1.0\n"
COUNTS = {"walk": 12, "run": 3}


def write(root, *, frames="folders", table=None, folder="clips"):
    """Write a configuration with stimuli of several frames."""
    config = write_set(root, None)
    given = {"resolution": 16, "folder": folder, "frames": frames}
    if table is not None:
        (root / "stimuli.csv").write_text(table)
        given["table"] = "stimuli.csv"
    edit_yaml(config / "config_data.yaml", set_at("stimulus_sets", {"scenes": given}))


def test_frames_come_in_natural_order_with_the_row_of_their_stimulus(tmp_path):
    write(tmp_path, table=TABLE)
    write_frames(tmp_path / "clips", COUNTS)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["filename"][:4] == ["run/frame0.png", "run/frame1.png", "run/frame2.png", "walk/frame0.png"]
    assert loaded.stimuli["filename"][-2:] == ["walk/frame10.png", "walk/frame11.png"]
    assert loaded.stimuli["stimulus_id"] == ["r"] * 3 + ["w"] * 12
    assert loaded.stimuli["frame"] == [*range(3), *range(12)]
    assert loaded.stimuli["speed"] == [2.5] * 3 + [1.0] * 12
    assert state(tmp_path, "interim/scenes:all") == ("fresh", "")


def test_groups_choose_whole_stimuli(tmp_path):
    write(tmp_path, table=TABLE)
    write_frames(tmp_path / "clips", COUNTS)
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("data_groups.scenes", {"fast": {"where": {"speed": 2.5}}}))
    build(tmp_path, "interim/scenes")
    assert dva.load("interim/scenes", group="fast", root=tmp_path).stimuli["stimulus_id"] == ["r"] * 3


def test_an_image_beside_the_folders_of_frames_is_refused(tmp_path):
    write(tmp_path)
    write_frames(tmp_path / "clips", COUNTS)
    draw_photo(tmp_path / "clips" / "x.png", 1)
    with pytest.raises(DataError, match=r"x.png lies in no folder: with 'frames: folders' each stimulus is a folder"):
        build(tmp_path, "raw/scenes")


def test_videos_are_written_as_frames_and_watched(tmp_path):
    write(tmp_path, frames="movies", table="filename,speed\nwalk.avi,1.5\ndeeper/run.avi,2.5\n")
    write_movie(tmp_path / "clips" / "walk.avi", [10, 20, 30])
    write_movie(tmp_path / "clips" / "deeper" / "run.avi", [200, 210])
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["stimulus_id"] == ["walk"] * 3 + ["run"] * 2
    assert loaded.stimuli["frame"] == [0, 1, 2, 0, 1]
    brightness = [int(np.asarray(image).mean().round()) for image, _ in loaded]
    np.testing.assert_allclose(brightness, [10, 20, 30, 200, 210], atol=2)
    write_movie(tmp_path / "clips" / "walk.avi", [10, 20])
    assert state(tmp_path, "raw/scenes:all") == ("stale", "the images changed: clips")
    build(tmp_path, "interim/scenes")
    assert len(dva.load("interim/scenes", root=tmp_path)) == 4


def test_what_is_no_video_is_refused(tmp_path):
    write(tmp_path, frames="movies")
    (tmp_path / "clips").mkdir()
    with pytest.raises(DataError, match="clips holds no video"):
        build(tmp_path, "raw/scenes")
    (tmp_path / "clips" / "walk.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"walk.mp4 cannot be opened: it is damaged, or no video"):
        build(tmp_path, "raw/scenes")


def test_settings_that_have_no_frames_are_refused():
    with pytest.raises(ValueError, match="'frames: movies' needs the 'folder'"):
        DataConfig(stimulus_sets={"scenes": {"resolution": 16, "frames": "movies"}})
    with pytest.raises(ValueError, match="an array has no folders of frames"):
        DataConfig(stimulus_sets={"scenes": {"resolution": 16, "frames": "folders", "images": "x.npy"}})


@pytest.mark.parametrize("use_ffcv", [True, False])
@pytest.mark.parametrize("resolution", [16, 80])
def test_trials_show_the_frames_of_one_stimulus_in_order(tmp_path, use_ffcv, resolution):
    write(tmp_path, table=TABLE)
    write_frames(tmp_path / "clips", COUNTS)
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("use_ffcv", use_ffcv))
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.resolution", resolution))
    workspace = build(tmp_path, "processed/scenes" if use_ffcv else "interim/scenes")
    stage = workspace.stages["processed"]
    target = stage.images("scenes", workspace.config.data.shown("scenes", "all"))
    images = stage.open_images(target, workspace.stage(target).require([target])[0])
    assert images.has_frames
    trials = np.asarray([[0, 1, 2], [3, 4, 5]])
    (shown,) = images.frames("images", trials, 2, normalized=False, is_looked_at_for_long=True)
    assert shown.shape == (2, 3, 3, resolution, resolution)
    brightness = shown.mean(dim=(2, 3, 4)).numpy() * 255
    np.testing.assert_allclose(brightness, [[190, 191, 192], [150, 151, 152]], atol=1)
