from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.config import load_config
from dynvision.config.conditions import all_conditions, presentation_of
from dynvision.config.sections.sweeps import fill_placeholders, find_placeholders
from dynvision.errors import ConfigError
from dynvision.stimuli.presentation import Presentation
from tests.helpers.configuration import edit_yaml, set_at

EXPERIMENTS = "config_experiments.yaml"
PROGRAM = [{"void": 1}, {"image": 2}, {"void": "$gap"}, {"image": 3, "which": "next", "contrast": "$strength"}]


def write_experiment(folder, **entry):
    experiment = {"parameter": "gap", "data_loader": "StimulusProgram", **entry}
    edit_yaml(folder / EXPERIMENTS, set_at("experiment_config.masking", experiment))


def test_places_of_a_program_are_swept(small_config):
    write_experiment(small_config, data_args={"tsteps": 12, "program": PROGRAM, "gap": [0, 4], "strength": 0.5})
    experiment = load_config(small_config).experiments["masking"]
    assert experiment.levels() == {"gap": ["0", "4"]}
    shown = [presentation_of(experiment, condition) for condition in all_conditions(experiment)]
    for gap, presentation in zip((0, 4), shown, strict=True):
        by_hand = [{"void": 1}, {"image": 2}, {"void": gap}, {"image": 3, "which": "next", "contrast": 0.5}]
        assert presentation == Presentation.from_program(by_hand, 12)


def test_place_without_a_value_names_the_nearest(small_config):
    write_experiment(small_config, data_args={"tsteps": 12, "program": [{"void": "$gpa"}, {"image": 2}], "gap": [1, 2]})
    with pytest.raises(ConfigError, match=r"masking\.data_args: the program's '\$gpa' has no value in data_args\. Did"):
        load_config(small_config)


def test_swept_setting_that_nothing_takes_is_an_error(small_config):
    write_experiment(small_config, data_args={"tsteps": 12, "program": [{"image": 2}], "gap": [1, 2]})
    with pytest.raises(ConfigError, match="StimulusProgram has no setting 'gap'"):
        load_config(small_config)


def test_programs_by_name_are_swept(small_config):
    programs = {"masked": [{"image": 2}, {"image": 2, "which": "next"}], "alone": [{"image": 2}]}
    write_experiment(small_config, parameter="program", data_args={"tsteps": 6, "program": programs})
    experiment = load_config(small_config).experiments["masking"]
    assert experiment.levels() == {"program": ["masked", "alone"]}
    assert experiment.level_values({"program": "masked"}) == {"program": "masked"}
    assert presentation_of(experiment, {"program": "masked"}).n_images == 2
    assert presentation_of(experiment, {"program": "alone"}).n_images == 1


def test_programs_by_name_that_are_not_swept_are_an_error(small_config):
    write_experiment(small_config, data_args={"program": {"a": [{"image": 2}]}, "gap": [1]})
    with pytest.raises(ConfigError, match="name program in 'parameter'"):
        load_config(small_config)


def test_program_that_is_swept_needs_names(small_config):
    write_experiment(small_config, parameter="program", data_args={"program": [{"image": 2}]})
    with pytest.raises(ConfigError, match="data_args needs several programs by name for program"):
        load_config(small_config)


def test_name_that_yaml_reads_as_nothing_says_to_quote_it(small_config):
    text = (small_config / EXPERIMENTS).read_text()
    (small_config / EXPERIMENTS).write_text(text + "\n  null: {parameter: x, data_loader: y, data_args: {}}\n")
    with pytest.raises(ConfigError, match="YAML reads a name here as None, not as text: put quotes around it"):
        load_config(small_config)


@pytest.mark.slow
@given(st.recursive(st.integers() | st.sampled_from(["$a", "$b"]), lambda inner: st.lists(inner) | st.dictionaries(
    st.text(max_size=3), inner)))  # fmt: skip
def test_filled_program_has_no_places(program):
    filled = fill_placeholders(program, {"a": 1, "b": 2})
    assert not list(find_placeholders(filled))


def test_units_of_a_model_are_dropped_where_an_experiment_records_channels(small_config):
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.record.resolution", "unit"))
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.record.units", 5))
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.record", {"resolution": "channel"}))
    config = load_config(small_config)
    assert config.record("contrast", "rcnn_gratings").units is None
    assert config.record("duration", "rcnn_gratings").units == 5


def test_settings_of_a_run_go_over_those_of_the_files(small_config):
    config = load_config(small_config).with_settings("contrast", {"device": "cpu", "samples": 3})
    assert config.run("contrast", "rcnn_gratings").device == "cpu"
    assert config.record("contrast", "rcnn_gratings").samples == 3
    assert config.record("duration", "rcnn_gratings").samples is None
    with pytest.raises(ConfigError, match=r"a run of contrast: unknown setting 'devise'. Did you mean 'device'\?"):
        config.with_settings("contrast", {"devise": "cpu"})


def test_levels_that_are_one_number_are_an_error(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.contrast", [1, 1.0, 0.5]))
    with pytest.raises(ConfigError, match="the levels of 'contrast' are empty or repeat"):
        load_config(small_config)


@pytest.mark.parametrize(
    ("key", "value", "near"),
    [("record", {"resolutoin": "unit"}, "resolution"), ("run", {"memory_budgett": 3}, "memory_budget")],
)
def test_typing_error_in_what_an_experiment_changes_names_the_nearest(small_config, key, value, near):
    edit_yaml(small_config / EXPERIMENTS, set_at(f"experiment_config.contrast.{key}", value))
    with pytest.raises(ConfigError, match=rf"contrast\.{key}: unknown key .* Did you mean '{near}'"):
        load_config(small_config)
