"""Names of DynVision 0.1.0: accepted where they mean the same, and refused with advice where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from dynvision.config import load_config
from dynvision.config.conditions import all_conditions, presentation_of
from dynvision.config.sections.experiments import ExperimentConfig
from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.errors import ConfigError
from dynvision.stimuli.noise import NOISE_ALIASES, Noise, add_noise
from dynvision.stimuli.presentation import Presentation
from tests.helpers.configuration import edit_yaml, write_small_config

DATASET = TensorDataset(torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(6))
THEIRS = {"tsteps": 4, "stim": 2, "noisetype": "saltpepper", "ssnr": 0.5, "tempmode": "dynamic"}
OURS = Presentation.noise(4, 2, noise_type="salt_and_pepper", ssnr=0.5, temporal="dynamic")
REPEAT = r"In DynVision 0\.1\.0 'repeat' was the number of time steps .* write n_timesteps.* write repetitions"
LEVEL = r"Write ssnr, the image's share of the variance"


def make_experiment(parameter: Any, **data_args: Any) -> ExperimentConfig:
    return ExperimentConfig(parameter=parameter, data_loader="StimulusNoise", data_args=data_args)


@pytest.mark.parametrize(("alias", "kind"), NOISE_ALIASES.items())
def test_other_name_of_a_noise_is_the_same_noise(alias, kind):
    assert Noise(alias, 0.3) == Noise(kind, 0.3)
    images = DATASET.tensors[0].numpy()
    ids = np.arange(6)
    np.testing.assert_array_equal(
        add_noise(images, Noise(alias, 0.3), ids, 0), add_noise(images, Noise(kind, 0.3), ids, 0)
    )


@pytest.mark.parametrize("mode", ["tempmode", "temporal_mode"])
def test_loaders_take_the_names(mode):
    settings = {key: value for key, value in THEIRS.items() if key != "tempmode"} | {mode: "dynamic"}
    theirs = get_data_loader(DATASET, "StimulusNoise", batch_size=6, **settings)
    ours = get_data_loader(DATASET, presentation=OURS, batch_size=6)
    assert theirs.presentation == OURS
    assert torch.equal(next(iter(theirs))[0], next(iter(ours))[0])


def test_ffcv_loader_takes_the_names(betons):
    loader = get_ffcv_dataloader(betons.path("rgb"), 4, dataloader="StimulusNoise", **THEIRS)
    assert loader.presentation == OURS


@pytest.mark.parametrize("kind", ["kind", "noise_type", "noisetype"])
@pytest.mark.parametrize("mode", ["temporal", "tempmode", "temporal_mode"])
def test_programs_take_the_names(kind, mode):
    show = Presentation.from_program([{"image": 1, "noise": {kind: "phasescrambled", "ssnr": 0.2, mode: "dynamic"}}])
    assert show.noises == (Noise("phase_scrambled", 0.2, "dynamic"),)


def test_name_given_twice_is_an_error():
    with pytest.raises(ValueError, match=r"program\[0\]\.noise gives 'kind' twice"):
        Presentation.from_program([{"image": 1, "noise": {"kind": "gaussian", "noisetype": "uniform", "ssnr": 0.2}}])
    with pytest.raises(TypeError, match="is given 'temporal' twice"):
        get_data_loader(DATASET, "StimulusNoise", tsteps=4, stim=2, tempmode="static", temporal_mode="static")


def test_swept_level_keeps_its_spelling():
    experiment = make_experiment(
        ["noisetype", "tempmode"],
        **THEIRS | {"noisetype": ["saltpepper", "gaussian"], "tempmode": ["static", "dynamic"]},
    )
    conditions = all_conditions(experiment)
    assert str(conditions[1]) == "noisetype=saltpepper,tempmode=dynamic"
    assert presentation_of(experiment, conditions[1]) == OURS
    with pytest.raises(ValueError, match="the levels of 'noisetype' name 'salt_and_pepper' twice"):
        make_experiment("noisetype", **THEIRS | {"noisetype": ["saltpepper", "salt_and_pepper"]})


def test_names_that_mean_something_else_say_what_to_write():
    with pytest.raises(TypeError, match=f"StimulusRepetition has no setting 'repeat'. {REPEAT}"):
        get_data_loader(DATASET, "StimulusRepetition", tsteps=20, stim=2, repeat=20)
    with pytest.raises(TypeError, match=f"StimulusNoise has no setting 'noiselevel'. {LEVEL}"):
        get_data_loader(DATASET, "StimulusNoise", tsteps=20, stim=2, noiselevel=0.5)
    with pytest.raises(ValueError, match=rf"program\[0\]\.noise: unknown key 'noiselevel'\. {LEVEL}"):
        Presentation.from_program([{"image": 1, "noise": {"kind": "gaussian", "noiselevel": 0.5}}])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_loader": "StimulusNoise", "parameter": "noiselevel"}, LEVEL),
        ({"data_loader": "StimulusRepetition", "parameter": "repeat"}, REPEAT),
    ],
)
def test_configuration_says_what_to_write(tmp_path, changes, message):
    config = write_small_config(tmp_path / "config")
    experiment = changes | {"data_args": {"tsteps": 9, "stim": 1, changes["parameter"]: [1, 2]}}
    edit_yaml(
        config / "config_experiments.yaml", lambda content: content["experiment_config"].update(theirs=experiment)
    )
    with pytest.raises(ConfigError, match=rf"experiment_config\.theirs\.data_args: .*{message}"):
        load_config(config)
