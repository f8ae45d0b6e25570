"""Subjects whose network, images and statistics do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynvision.config import load_config
from dynvision.errors import ConfigError, UnknownNameError
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.networks_of_others import write_root

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path) -> Path:
    return write_root(tmp_path / "root") / "config"


REFUSED = [
    ("experiments", "subjects.plain.match", "index", None),
    ("experiments", "subjects.plain.trained_on", "balls/brigt", "class group"),
    ("experiments", "subjects.plain.trained_on", "bals/all", "dataset"),
    ("experiments", "subjects.plain.trained_on", "a/b/c", "neither a group nor <dataset>/<group>"),
    ("experiments", "subjects.plain.standardize", "dataset", "'balls' has no data_statistics"),
    ("experiments", "subjects.moved.standardize", "network", None),
    ("experiments", "subjects.moved.standardize", "dataset", "'balls' has no data_statistics"),
    ("models", "models.ready.statistics", None, "Write them there, or write statistics of the model 'ready'"),
    ("models", "models.rcnn.classes", ["a", "b"], "'classes' is for a network that is not trained here"),
    ("models", "models.rcnn.statistics", "imagenet", "'statistics' is for a network that is not trained here"),
    ("models", "models.ready.classes", ["a", "a"], "'a' is listed twice"),
    ("models", "models.ready.classes", [], "names no class"),
    ("models", "models.ready.statistics", "imagenets", "statistics"),
]


@pytest.mark.parametrize(("file", "key", "value", "message"), REFUSED)
def test_settings_that_do_not_go_together_are_refused(config, file, key, value, message):
    edit_yaml(config / f"config_{file}.yaml", set_at(key, value))
    if message is None:
        load_config(config)
        return
    with pytest.raises((ConfigError, UnknownNameError), match=message):
        load_config(config)


def test_network_that_does_not_take_the_images_says_what_it_was_made_for(tmp_path):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_data.yaml", set_at("data_resolution.balls", 20))
    message = r"RCNN cannot be shown frames of 3 channels and 20 pixels .*It was made for .* 16 pixels"
    with pytest.raises(ConfigError, match=message):
        build_chain(root, root / "config", "responses/duration/moved:duration=2")


@pytest.mark.parametrize(
    ("subject", "change", "message"),
    [
        ("plain", ("subjects.plain.match", "name"), "'match: name', but no class that is shown has the name of an"),
        ("plain", ("subjects.plain.trained_on", "gratings/all"), None),
    ],
)
def test_matching_by_name_needs_a_name_in_common(tmp_path, subject, change, message):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_models.yaml", set_at("models.ready.classes", ["a", "b", "c", "d", "e"]))
    edit_yaml(root / "config/config_experiments.yaml", set_at(*change))
    target = f"responses/contrast/{subject}:contrast=0.5"
    if message is None:
        build_chain(root, root / "config", target)
        return
    with pytest.raises(ConfigError, match=message):
        build_chain(root, root / "config", target)


def test_images_in_colour_are_not_standardized_by_the_statistics_of_grey_ones(tmp_path):
    root = write_root(tmp_path / "root")
    edit_yaml(root / "config/config_models.yaml", set_at("models.ready.statistics", {"mean": [0.5], "std": [0.2]}))
    with pytest.raises(ConfigError, match=r"images of 3 channel\(s\), but the statistics of the model 'ready'"):
        build_chain(root, root / "config", "responses/contrast/plain:contrast=0.5")
