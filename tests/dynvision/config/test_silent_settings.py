"""Settings that would give other numbers without a word, or fail after hours: they are refused when they are read."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from torchvision.transforms import v2

from dynvision.config import load_config
from dynvision.config.networks import check_normalizing, check_rcnn, step_length
from dynvision.config.transform_checks import _FILLS, _VALUES
from dynvision.errors import ConfigError
from dynvision.models import RCNN, NormalizingNetwork
from tests.helpers.configuration import edit_yaml, set_at

DATA, MODELS, EXPERIMENTS = "config_data.yaml", "config_models.yaml", "config_experiments.yaml"


def without_step(content: dict[str, Any]) -> None:
    content["models"]["rcnn"]["args"].pop("dt", None)


def read(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(folder)
    return str(caught.value)


def test_a_step_that_the_network_has_by_default_is_compared_too(small_config: Path) -> None:
    edit_yaml(small_config / MODELS, without_step)
    edit_yaml(
        small_config / EXPERIMENTS,
        set_at("experiment_config.contrast.data_args", {"tsteps": 4, "dt": 10, "stim": 20, "contrast": [0.5]}),
    )
    assert "dt: 10 ms, but a step of the model 'rcnn'" in read(small_config)
    assert step_length("dynvision.models:RCNN", {}) == 5.0
    assert step_length("own:Network", {}) is None


def test_the_defaults_that_are_checked_are_those_of_the_network() -> None:
    def defaults(of: Any) -> dict[str, Any]:
        parameters = inspect.signature(of).parameters
        return {name: p.default for name, p in parameters.items() if name not in ("self", "n_classes")}

    assert defaults(check_rcnn) == defaults(RCNN)
    assert defaults(check_normalizing) == defaults(NormalizingNetwork)


@pytest.mark.parametrize("dt", [1e-40, 1e-300, 1e-7])
def test_a_step_that_changes_nothing_is_refused(small_config: Path, dt: float) -> None:
    edit_yaml(small_config / MODELS, set_at("models.rcnn.args.dt", dt))
    assert "models.rcnn.args: dt must be" in read(small_config)


@pytest.mark.parametrize(
    "text",
    [
        "Pad(4, 128)",
        "RandomAffine(0, (0.1,0.1), None, None, 0, 128)",
        "RandomErasing(0.5, (0.02,0.3), (0.3,3.3), 128)",
        "RandomRotation(5, fill=[255, 255, 255])",
    ],
)
def test_a_fill_is_checked_wherever_it_stands(small_config: Path, text: str) -> None:
    edit_yaml(small_config / MODELS, set_at("models.rcnn.training.transform", "train"))
    edit_yaml(small_config / DATA, set_at("transform_presets", {"train": [text]}))
    assert "is brighter than white" in read(small_config)


def test_the_positions_of_fills_are_those_of_torchvision() -> None:
    for name, place in _FILLS.items():
        assert list(inspect.signature(getattr(v2, name)).parameters)[place] == "fill", name
    for name, place in _VALUES.items():
        assert list(inspect.signature(getattr(v2, name)).parameters)[place] == "value", name


def test_an_argument_given_twice_is_refused(small_config: Path) -> None:
    edit_yaml(small_config / DATA, set_at("transform_presets", {"train": ["Pad(padding=3,padding=4)"]}))
    assert "'padding' is given twice" in read(small_config)


def test_gratings_that_the_pixels_cannot_show_are_refused(small_config: Path) -> None:
    edit_yaml(small_config / DATA, set_at("gratings.spatial_frequency", [3, 4000]))
    assert "gratings.spatial_frequency: 4000 cycles" in read(small_config)


def test_zero_has_one_level(small_config: Path) -> None:
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.contrast", [-0.0, 0.0, 1.0]))
    assert "repeat" in read(small_config)
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.contrast", [-0.0, 1.0]))
    assert load_config(small_config).experiments["contrast"].levels() == {"contrast": ["0.0", "1.0"]}


@pytest.mark.parametrize("name", ["V1", "classifier", "self", "key"])
def test_a_parameter_named_like_a_layer_or_a_keyword_is_refused(small_config: Path, name: str) -> None:
    args = {"tsteps": 20, "program": [{"image": 2}, {"void": f"${name}"}], name: [1, 2]}
    experiment = {"parameter": name, "data_loader": "StimulusProgram", "data_args": args}
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast", experiment))
    assert f"experiment_config.contrast.parameter: '{name}' is" in read(small_config)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("status", "trained-epoch=5000", "there is no epoch 5000"),
        ("subjects", [], "the list is empty"),
        ("record", {"layers": ["V1", "V1"]}, "'V1' is listed twice"),
    ],
)
def test_what_can_never_be_made_is_refused(small_config: Path, key: str, value: Any, said: str) -> None:
    edit_yaml(small_config / EXPERIMENTS, set_at(f"experiment_config.contrast.{key}", value))
    assert said in read(small_config)
