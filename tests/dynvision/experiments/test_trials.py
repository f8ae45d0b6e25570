"""Experiments whose trials show several images: masking, adaptation, rapid serial presentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynvision.config import load_config
from dynvision.data.loading.trials import choose_trials
from dynvision.errors import ConfigError
from dynvision.experiments.reading import open_store
from dynvision.paths import Paths
from dynvision.workspace import Workspace
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, write_small_config

MASKING = {
    "parameter": "sensor_noise",
    "data_loader": "StimulusProgram",
    "status": "init",
    "idle": 2,
    "data_args": {
        "program": [
            {"void": 5},
            {"image": 10},
            {"image": 15, "which": "other", "noise": {"kind": "uniform", "ssnr": 0.5}},
        ],
        "dt": 5.0,
        "sensor_noise": [0.0, 1.0],
    },
}


def write_masking_config(folder: Path, use_ffcv: bool = True, **changes: Any) -> Path:
    """The small config with an experiment `masking`: a step of void, two of the target, three of a noisy mask."""
    config = write_small_config(folder)
    edit_yaml(config / "config_data.yaml", lambda content: content.update(use_ffcv=use_ffcv))
    experiments = config / "config_experiments.yaml"
    edit_yaml(experiments, lambda content: content["experiment_config"].update(masking={**MASKING, **changes}))
    return config


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Any]:
    """The responses under sensor noise, with and without FFCV."""
    made = {}
    for use_ffcv in (True, False):
        root = tmp_path_factory.mktemp("masking")
        config = write_masking_config(root / "config", use_ffcv)
        build_chain(root, config, "responses/masking/rcnn_gratings")
        store = root / "data" / "responses" / "masking" / "rcnn_gratings" / "sensor_noise=1.0.zarr"
        made[use_ffcv] = open_store(store)
    return made


@pytest.mark.slow
def test_several_images_a_trial_are_the_same_with_and_without_ffcv(stores):
    with_ffcv, without = stores[True], stores[False]
    assert np.array_equal(with_ffcv["image_label"], without["image_label"])
    np.testing.assert_array_equal(with_ffcv["shown"], [-1, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(with_ffcv["V1"]["mean"], without["V1"]["mean"])


@pytest.mark.slow
def test_every_image_of_a_trial_can_be_traced_to_its_file(stores):
    root = stores[True].to_dataset()
    trials = choose_trials(root.sizes["sample"], 2, labels=root["label"].values, other_class=[1])
    np.testing.assert_array_equal(root["image_label"], root["label"].values[trials])
    np.testing.assert_array_equal(root["image_source"], root["source"].values[trials])
    assert (root["image_source"][:, 0] != root["image_source"][:, 1]).all()


@pytest.mark.slow
def test_mask_is_never_of_the_targets_class(stores):
    for store in stores.values():
        targets, masks = store["image_label"].values.T
        assert (targets != masks).all()


@pytest.mark.slow
def test_every_image_of_a_trial_has_its_contrast(stores):
    root = stores[True].to_dataset()
    assert root["image_contrast"].dims == ("sample", "image")
    by_source = dict(zip(root["source"].values, root["image_contrast"].values[:, 0], strict=True))
    wanted = np.vectorize(by_source.get)(root["image_source"].values)
    np.testing.assert_array_equal(root["image_contrast"].values, wanted)
    np.testing.assert_array_equal(root["image_contrast"], stores[False]["image_contrast"])


def test_trials_follow_from_the_whole_experiment(tmp_path):
    programs = {"alone": [{"image": 2}], "masked": [{"image": 1}, {"image": 1, "which": "other"}]}
    write_masking_config(tmp_path / "config", parameter="program", data_args={"program": programs})
    stage = Workspace(load_config(tmp_path / "config"), Paths(tmp_path)).stages["responses"]
    for target in stage.select(("responses", "masking", "rcnn_gratings")):
        assert stage.settings(target)["images_of_other_class"] == [1]


def test_group_of_one_class_cannot_be_masked_by_another(tmp_path):
    config = write_masking_config(tmp_path / "config")
    edit_yaml(config / "config_data.yaml", lambda content: content["data_groups"]["gratings"].update(one=[1]))
    edit_yaml(
        config / "config_experiments.yaml", lambda content: content["subjects"]["rcnn_gratings"].update(group="one")
    )
    with pytest.raises(ConfigError, match=r"masking\.data_args: .* 'rcnn_gratings' is shown the group 'one' of one"):
        load_config(config)


def test_image_to_be_named_is_one_that_the_trial_shows(tmp_path):
    write_masking_config(tmp_path / "config", readout={"image": 2})
    with pytest.raises(ConfigError, match=r"readout\.image: 2 is to be named, but a trial shows 2 image\(s\), counted"):
        load_config(tmp_path / "config")


def test_step_of_another_length_than_the_networks_is_an_error(tmp_path):
    arguments = {**MASKING["data_args"], "dt": 2.5}
    write_masking_config(tmp_path / "config", data_args=arguments)
    with pytest.raises(ConfigError, match=r"data_args\.dt: 2\.5 ms, but a step of the model 'rcnn'.* is 5 ms"):
        load_config(tmp_path / "config")


@pytest.mark.slow
def test_images_of_a_trial_are_those_that_were_shown(tmp_path):
    config = write_masking_config(tmp_path / "config")
    build_chain(tmp_path, config, "responses/masking/rcnn_gratings")
    workspace = Workspace.open(tmp_path, config)
    target = workspace.targets(("responses", "masking", "rcnn_gratings"))[0]
    tree = workspace.stage(target).load([target])
    shown = workspace.stage(target).shown_images(target, tree.to_dataset())
    assert shown.dims == ("sample", "image", "channel", "y", "x")
    assert shown["image_label"].equals(tree["image_label"])
    for image in range(2):
        contrast = tree["image_contrast"].isel(image=image)
        standardized = (shown.isel(image=image).values - 0.5) / 0.29
        deviation = np.sqrt((standardized**2).mean(axis=(1, 2, 3)))
        np.testing.assert_allclose(deviation, contrast, rtol=1e-4)
