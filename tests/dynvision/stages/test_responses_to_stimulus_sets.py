"""A stimulus set is shown to a network of other classes: its table goes with every response."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

import dynvision_assets as dva
from dynvision.errors import ConfigError, DynvisionError
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import TABLE, build, state, write_frames, write_set

pytestmark = pytest.mark.slow

NAMES = ["places", "faces", "houses"]
GROUPS = {"faces": {"where": {"category": "faces"}}}


class Bright(nn.Module):
    """A network with three outputs: the mean of each colour."""

    def __init__(self) -> None:
        super().__init__()
        self.relu, self.scores = nn.ReLU(), nn.Linear(3, 3)

    def forward(self, frame: Tensor) -> Tensor:
        return self.scores(self.relu(frame.mean(dim=(2, 3))))


MODEL = {
    "class": f"{__name__}:Bright",
    "training": None,
    "classes": NAMES,
    "statistics": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "record": {"layers": ["relu", "scores"]},
}
CONTRAST = {
    "parameter": "contrast",
    "data_loader": "StimulusContrast",
    "data_args": {"tsteps": 6, "intro": 1, "stim": 3, "contrast": [0.5, 1.0]},
}


def write_root(root: Path, experiment: dict[str, Any] | None = None, **settings: Any) -> None:
    """A root with the stimulus set `scenes`, shown whole and as a group to a network that is not trained here."""
    table = settings.pop("table", TABLE)
    config = write_set(root, table, groups=GROUPS if table == TABLE else None, **settings)
    edit_yaml(config / "config_models.yaml", lambda content: content.update(models={"bright": MODEL}))

    def choose(content: dict[str, Any]) -> None:
        content["subjects"] = {"whole": {"model": "bright", "dataset": "scenes"}}
        if table == TABLE:
            content["subjects"]["faces"] = {"model": "bright", "dataset": "scenes", "group": "faces"}
        content["experiment_config"] = {"shown": experiment or CONTRAST}

    edit_yaml(config / "config_experiments.yaml", choose)


def test_every_column_of_the_table_is_a_coordinate_and_nothing_is_called_a_class(tmp_path):
    write_root(tmp_path)
    build(tmp_path, "summary/shown")
    responses = dva.load("responses/shown/whole", root=tmp_path).to_dataset()
    assert responses["stimulus_id"].values.tolist() == ["s2", "s3", "s1"]
    assert responses["filename"].values.tolist() == ["b.png", "deeper/c.jpg", "a.png"]
    assert responses["category"].values.tolist() == ["faces", "houses", "faces"]
    assert responses["session"].values.tolist() == [1, 2, 2]
    assert responses["indoor"].dtype == bool
    np.testing.assert_array_equal(responses["contrast_rms"], [0.25, np.nan, 0.5])
    assert responses["taken"].values.tolist() == ["2024-01-02", "2024-01-03", ""]
    assert not {"label", "group_label", "rank"} & set(responses.variables)
    layer = dva.load("responses/shown/whole", root=tmp_path)["relu"].to_dataset()
    assert layer.groupby("category").mean()["category"].values.tolist() == ["faces", "houses"]
    assert dva.load("responses/shown/faces", root=tmp_path).to_dataset()["stimulus_id"].values.tolist() == ["s2", "s1"]
    assert "accuracy" not in dva.load("summary/shown/whole", root=tmp_path)["measure"].to_numpy()
    assert state(tmp_path, "summary/shown") == ("fresh", "")


def test_images_that_are_read_from_their_own_files_are_shown_as_well(tmp_path):
    write_root(tmp_path)
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("use_ffcv", False))
    build(tmp_path, "responses/shown/whole")
    responses = dva.load("responses/shown/whole", root=tmp_path).to_dataset()
    assert responses["stimulus_id"].values.tolist() == ["s2", "s3", "s1"]
    assert responses["source"].values.tolist() == ["photos/b.png", "photos/deeper/c.jpg", "photos/a.png"]


@pytest.mark.parametrize(
    ("label", "labels"),
    [({"column": "category", "by": "name"}, [0, 1, 0]), ({"column": "session", "by": "index"}, [1, 2, 2])],
)
def test_a_column_of_labels_gives_an_accuracy(tmp_path, label, labels):
    write_root(tmp_path, label=label)
    build(tmp_path, "summary/shown/whole")
    responses = dva.load("responses/shown/whole", root=tmp_path).to_dataset()
    assert responses["label"].values.tolist() == labels
    outputs = [NAMES.index(name) for name in responses["category"].values] if label["by"] == "name" else labels
    scores = responses["scores"].isel(contrast=1, time=2).values
    above = [int((row > row[output]).sum()) for row, output in zip(scores, outputs, strict=True)]
    assert responses["rank"].isel(contrast=1, time=2).values.tolist() == above
    assert "accuracy" in dva.load("summary/shown/whole", root=tmp_path)["measure"].to_numpy()


@pytest.mark.parametrize("use_ffcv", [True, False])
def test_a_program_shows_the_frames_of_one_stimulus_in_each_trial(tmp_path, use_ffcv):
    program = [{"repeat": 3, "program": [{"image": "$hold", "which": "next"}]}]
    experiment = {
        "parameter": "hold",
        "data_loader": "StimulusProgram",
        "data_args": {"n_timesteps": 6, "hold": [1, 2], "program": program},
    }
    table = "filename,stimulus_id,speed\nrun,r,2.5\nwalk,w,1.0\n"
    write_root(tmp_path, experiment, table=table, frames="folders")
    (tmp_path / "photos" / "stimuli.csv").rename(tmp_path / "stimuli.csv")
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.table", "stimuli.csv"))
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.folder", "clips"))
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("use_ffcv", use_ffcv))
    write_frames(tmp_path / "clips", {"walk": 12, "run": 3})
    build(tmp_path, "summary/shown/whole")
    root = dva.load("responses/shown/whole", root=tmp_path).to_dataset()
    assert root["stimulus_id"].values.tolist() == ["r", "w"]
    assert root["speed"].values.tolist() == [2.5, 1.0]
    assert root["filename"].values.tolist() == ["run/frame0.png", "walk/frame0.png"]
    assert root["image_source"].values[1].tolist() == [f"clips/walk/frame{number}.png" for number in range(3)]
    assert root["image_stimulus_id"].values.tolist() == [["r"] * 3, ["w"] * 3]
    assert "frame" not in root
    once, twice = (root["scores"].sel(hold=hold).isel(sample=0).values for hold in (1, 2))
    assert len(np.unique(once[:3, 0])) == 3
    np.testing.assert_array_equal(once[[0, 0, 1, 1, 2, 2]], twice)


def test_a_stimulus_of_too_few_frames_is_named(tmp_path):
    program = [{"repeat": 4, "program": [{"image": "$hold", "which": "next"}]}]
    experiment = {
        "parameter": "hold",
        "data_loader": "StimulusProgram",
        "data_args": {"n_timesteps": 8, "hold": [1, 2], "program": program},
    }
    write_root(tmp_path, experiment, table=None, frames="folders")
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.folder", "clips"))
    write_frames(tmp_path / "clips", {"walk": 12, "run": 3})
    with pytest.raises(ConfigError, match="a trial shows 4 frames, and the stimulus 'run' has 3, without number 3"):
        build(tmp_path, "responses/shown/whole")


@pytest.mark.parametrize("column", ["relu", "scores"])
def test_a_column_named_like_a_layer_is_to_be_renamed(tmp_path, column):
    write_root(tmp_path, table=TABLE.replace("category", column))
    with pytest.raises(DynvisionError, match=f"the column '{column}' .*Rename it"):
        build(tmp_path, "responses/shown/whole")


def test_an_image_of_another_class_needs_a_column_of_labels(tmp_path):
    experiment = {
        "parameter": "gap",
        "data_loader": "StimulusProgram",
        "data_args": {
            "n_timesteps": 6,
            "gap": [1, 2],
            "program": [{"image": 1}, {"void": "$gap"}, {"image": 1, "which": "other"}],
        },
    }
    write_root(tmp_path, experiment)
    with pytest.raises(ConfigError, match=r"the images of the stimulus set 'scenes' .* have none"):
        build(tmp_path, "responses/shown/whole")
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("stimulus_sets.scenes.label", {"column": "category"}))
    edit_yaml(tmp_path / "config/config_experiments.yaml", lambda content: content["subjects"].pop("faces"))
    build(tmp_path, "responses/shown/whole")
    shown = dva.load("responses/shown/whole", root=tmp_path).to_dataset()["image_label"].values
    assert (shown[:, 0] != shown[:, 1]).all()
