from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dynvision.config import find_config_folder, load_config
from dynvision.config.conditions import all_conditions, presentation_of
from dynvision.config.sections.data import DataConfig
from dynvision.errors import ConfigError, UnknownNameError
from dynvision.paths import Paths
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml, remove_at, set_at

DATA, MODELS, EXPERIMENTS = "config_data.yaml", "config_models.yaml", "config_experiments.yaml"


def test_the_projects_own_config_is_valid_and_names_the_datasets_in_order():
    config = load_config(PROJECT_CONFIG)
    assert config.datasets == ["gratings", "mnist", "cifar10", "cifar100"]
    assert list(config.data.groups("cifar100")) == ["all", "invertebrates"]
    assert set(config.experiments) == {
        *("contrast", "duration", "contrast_duration", "interval", "noise", "noise_types"),
        *("response", "stability", "null", "masking"),
        *("groen_contrast", "groen_duration", "groen_interval"),
    }
    gratings, invertebrates = (["normalizing_" + d, "rcnn_" + d] for d in ("gratings", "invertebrates"))
    assert set(config.subjects_of("contrast")) == {*gratings, *invertebrates}
    assert config.compared_in("contrast") == gratings


def test_subject_that_is_only_named_is_not_among_all(small_config):
    edit_yaml(
        small_config / EXPERIMENTS,
        lambda content: (
            content["subjects"]["rcnn_gratings"].update(only_named=True),
            content["experiment_config"]["duration"].update(subjects=["rcnn_gratings"]),
            content["experiment_config"]["contrast"].pop("compare_on"),
        ),
    )
    config = load_config(small_config)
    assert config.subjects_of("contrast") == [name for name in config.subjects if name != "rcnn_gratings"]
    assert config.subjects_of("duration") == ["rcnn_gratings"]


def test_shipped_checks_of_the_chain_are_shown_to_the_model_that_is_known():
    config = load_config(PROJECT_CONFIG)
    for name in ("groen_contrast", "groen_duration", "groen_interval"):
        assert config.subjects_of(name) == ["dn_gratings"]
        (dt,) = {presentation_of(config.experiments[name], c).dt for c in all_conditions(config.experiments[name])}
        assert dt == 1
    assert config.experiments["groen_contrast"].levels() == {"contrast": ["0.0625", "0.125", "0.25", "0.5", "1.0"]}


UNKNOWN_NAMES = [
    (EXPERIMENTS, "subjects.rcnn_gratings.dataset", "gratigns", "dataset", "gratings"),
    (EXPERIMENTS, "subjects.rcnn_gratings.model", "rccn", "model", "rcnn"),
    (EXPERIMENTS, "subjects.rcnn_invertebrates.group", "invertebrats", "class group", "invertebrates"),
    (EXPERIMENTS, "subjects.rcnn_gratings.trained_on", "piar", "class group", "pair"),
    (EXPERIMENTS, "experiment_config.contrast.subjects", ["rcnn_grating"], "subject", "rcnn_gratings"),
    (EXPERIMENTS, "experiment_config.contrast.data_loader", "StimulusContrst", "data_loader", "StimulusContrast"),
    (MODELS, "models.rcnn.training.transform", "trian", "transform preset", "train"),
    (MODELS, "models.rcnn.training.datasets", {"mnsit": {}}, "dataset", "mnist"),
    (DATA, "mounted_datasets", ["cifar1000"], "dataset", "cifar100"),
    (DATA, "data_statistics", {"gratting": {"mean": [0.5], "std": [1.0]}}, "dataset", "gratings"),
    (DATA, "data_groups", {"cifar_100": {"few": [0]}}, "dataset", "cifar100"),
    (DATA, "data_sources", {"cifra10": {}}, "dataset", "cifar10"),
]


@pytest.mark.parametrize(("file", "key", "value", "noun", "nearest"), UNKNOWN_NAMES, ids=[c[1] for c in UNKNOWN_NAMES])
def test_unknown_name_is_an_error_with_file_key_and_nearest_name(small_config, file, key, value, noun, nearest):
    edit_yaml(small_config / file, set_at(key, value))
    wrong = next(iter(value)) if isinstance(value, (list, dict)) else value
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    message = str(caught.value)
    assert f"unknown {noun} '{wrong}'. Did you mean '{nearest}'?" in message
    assert str(small_config / file) in message
    assert key.split(".")[0] in message


def test_unknown_key_names_the_nearest(small_config):
    edit_yaml(small_config / DATA, set_at("train_ration", 0.5))
    with pytest.raises(
        ConfigError, match=r"config_data\.yaml: train_ration: unknown key\. Did you mean 'train_ratio'\?"
    ):
        load_config(small_config)


def test_unknown_key_deep_inside_names_its_path_and_the_nearest(small_config):
    edit_yaml(small_config / MODELS, set_at("models.rcnn.training.epoch", 3))
    expected = r"config_models\.yaml: models\.rcnn\.training\.epoch: unknown key\. Did you mean 'epochs'\?"
    with pytest.raises(ConfigError, match=expected):
        load_config(small_config)


def test_unknown_setting_of_a_presentation_names_the_nearest(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.intr", 1))
    expected = (
        r"experiment_config\.contrast\.data_args: StimulusContrast has no setting 'intr'\. Did you mean 'intro'\?"
    )
    with pytest.raises(ConfigError, match=expected):
        load_config(small_config)


def test_trial_that_is_too_short_is_an_error_when_the_config_is_read(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.duration.data_args.tsteps", 3))
    with pytest.raises(ConfigError, match=r"experiment_config\.duration\.data_args: the trial needs 4 steps"):
        load_config(small_config)


def test_class_index_outside_the_dataset_is_an_error(small_config):
    edit_yaml(small_config / DATA, set_at("data_groups.cifar100.invertebrates", [6, 100]))
    expected = (
        r"config_data\.yaml: data_groups\.cifar100\.invertebrates: "
        r"class index 100 is outside 'cifar100', whose classes are 0 to 99"
    )
    with pytest.raises(ConfigError, match=expected):
        load_config(small_config)


def test_class_index_outside_the_gratings_follows_the_number_of_orientations(small_config):
    edit_yaml(small_config / DATA, set_at("data_groups.gratings.pair", [0, 3]))
    with pytest.raises(ConfigError, match=r"class index 3 is outside 'gratings', whose classes are 0 to 2"):
        load_config(small_config)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"all": [0]}, "data_groups.gratings.all: 'all' always means every class"),
        ({"none": []}, "data_groups.gratings.none: the group is empty"),
        ({"double": [1, 1]}, "data_groups.gratings.double: class index 1 is listed twice"),
    ],
)
def test_group_that_makes_no_sense_is_an_error(small_config, groups, message):
    edit_yaml(small_config / DATA, set_at("data_groups.gratings", groups))
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(small_config)


def test_yaml_syntax_error_names_file_and_line(small_config):
    path = small_config / DATA
    path.write_text("use_ffcv: true\ntrain_ratio: 0.9\ndata_groups: {gratings: [0, 1\n")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}, line [34], column \d+: not valid YAML: "):
        load_config(small_config)


def test_tab_in_yaml_names_its_line(small_config):
    path = small_config / EXPERIMENTS
    path.write_text("subjects:\n  one:\n\tmodel: rcnn\n")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(path))}, line 3, column 1: not valid YAML: "):
        load_config(small_config)


def test_key_that_occurs_twice_is_an_error_with_its_line(small_config):
    path = small_config / DATA
    path.write_text("train_ratio: 0.9\nuse_ffcv: true\ntrain_ratio: 0.5\n")
    expected = rf"^{re.escape(str(path))}, line 3, column 1: not valid YAML: the key 'train_ratio' is given twice"
    with pytest.raises(ConfigError, match=expected):
        load_config(small_config)


def test_key_that_occurs_twice_deep_inside_is_an_error(small_config):
    path = small_config / EXPERIMENTS
    path.write_text("subjects:\n  one: {model: rcnn, dataset: mnist}\n  one: {model: rcnn, dataset: gratings}\n")
    with pytest.raises(ConfigError, match=r"line 3, column 3: not valid YAML: the key 'one' is given twice"):
        load_config(small_config)


def test_file_that_is_a_list_is_an_error(small_config):
    (small_config / MODELS).write_text("- models\n")
    with pytest.raises(ConfigError, match=r"config_models\.yaml: the file must contain keys and values, not a list"):
        load_config(small_config)


def test_missing_file_says_where_the_default_is(small_config):
    (small_config / MODELS).unlink()
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    assert f"the config file {small_config / MODELS} does not exist" in str(caught.value)
    assert str(PROJECT_CONFIG / MODELS) in str(caught.value)
    assert "DYNVISION_CONFIG" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        (DATA, "data_resolution", {"../x": 32}),
        (DATA, "data_groups.gratings", {"../../x": [0]}),
        (EXPERIMENTS, "subjects", {"a/b": {"model": "rcnn", "dataset": "mnist"}}),
        (EXPERIMENTS, "experiment_config", {"..": {"parameter": "stim", "data_loader": "Standard", "data_args": {}}}),
        (MODELS, "models", {"/etc": {"class": "torch.nn:Linear"}}),
    ],
)
def test_names_cannot_leave_the_data_root(small_config, file, key, value):
    edit_yaml(small_config / file, set_at(key, value))
    name = re.escape(next(iter(value)))
    with pytest.raises(ConfigError, match=rf"{re.escape(file)}: .*the name '{name}' becomes a folder"):
        load_config(small_config)


@pytest.mark.parametrize("name", ["ends\n", " begins", "-begins", "_begins", ".hidden", "", "é", "a b", "a\0b"])
def test_names_that_are_not_plain_folder_names_are_refused(name):
    with pytest.raises(ValidationError, match="becomes a folder"):
        DataConfig(data_resolution={name: 8})


@given(st.one_of(st.text(max_size=8), st.text("./\\-_aB1~$ \n", max_size=6)))
def test_any_name_is_refused_or_stays_one_folder_below_its_stage(name):
    try:
        config = DataConfig(data_resolution={name: 8})
    except ValidationError:
        return
    (accepted,) = config.data_resolution
    root = Path("/somewhere")
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", accepted)
    assert Paths(root).raw(accepted).resolve().parent == root / "data" / "raw"


def test_a_misspelt_sweep_names_the_setting_that_is_meant(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.contrasst", [0.1, 1.0]))
    edit_yaml(small_config / EXPERIMENTS, remove_at("experiment_config.contrast.data_args.contrast"))
    expected = "data_args needs a list of levels for stimulus_contrast; there is no setting 'contrasst'. Did you mean "
    with pytest.raises(ConfigError, match=re.escape(f"{expected}'contrast'?")):
        load_config(small_config)


def test_a_misspelt_key_that_is_required_is_named_once(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.paramter", "contrast"))
    edit_yaml(small_config / EXPERIMENTS, remove_at("experiment_config.contrast.parameter"))
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    (line,) = str(caught.value).splitlines()
    assert "experiment_config.contrast.paramter: unknown key. Did you mean 'parameter'?" in line


def test_a_required_key_that_is_nowhere_is_missing(small_config):
    edit_yaml(small_config / EXPERIMENTS, remove_at("experiment_config.contrast.parameter"))
    with pytest.raises(ConfigError, match=r"experiment_config\.contrast\.parameter: this key is missing$"):
        load_config(small_config)


def test_level_that_would_be_a_path_is_refused(small_config):
    edit_yaml(small_config / EXPERIMENTS, set_at("experiment_config.contrast.data_args.contrast", ["../x", 1.0]))
    with pytest.raises(ConfigError, match=r"the level '\.\./x' of 'contrast' becomes a file name"):
        load_config(small_config)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("contrast.data_args.contrast", 0.5, "data_args needs a list of levels for stimulus_contrast"),
        ("contrast.data_args.stim", [1, 2], "name stimulus_duration in 'parameter'"),
        ("contrast.data_args.stimulus_duration", 3, "data_args gives stimulus_duration twice"),
        ("contrast.data_args.contrast", [], "the levels of 'contrast' are empty or repeat"),
        ("contrast.data_args.contrast", [0.5, 0.5], "the levels of 'contrast' are empty or repeat"),
        ("contrast.parameter", ["contrast", "contrast"], "parameter is one name or two different ones"),
        ("contrast.status", "traned", "status 'traned' is not one of init, trained, trained-epoch=N"),
        ("contrast.readout", {"window": [5, 5]}, "window is [start, stop] in steps"),
        ("contrast.record", {"resolution": "units"}, "resolution"),
        ("contrast.record", {"resolution": "units"}, "must be 'unit', 'channel' or 'layer', not the text 'units'"),
    ],
)
def test_experiment_that_makes_no_sense_is_an_error(small_config, key, value, message):
    edit_yaml(small_config / EXPERIMENTS, set_at(f"experiment_config.{key}", value))
    with pytest.raises(ConfigError) as caught:
        load_config(small_config)
    assert message in str(caught.value)
    assert f"{small_config / EXPERIMENTS}: experiment_config.contrast" in str(caught.value)


def test_training_in_which_no_step_is_scored_is_an_error(small_config):
    edit_yaml(small_config / MODELS, set_at("models.rcnn.training.loss_from", 3))
    with pytest.raises(ConfigError, match=r"loss_from \(3\) must be smaller than n_timesteps \(3\)"):
        load_config(small_config)


def test_training_settings_of_one_dataset_are_checked_too(small_config):
    edit_yaml(small_config / MODELS, set_at("models.rcnn.training.datasets.mnist", {"epochs": 0}))
    with pytest.raises(ConfigError, match=r"config_models\.yaml: models\.rcnn\.training"):
        load_config(small_config)


def test_source_of_the_users_own_needs_its_checksum(small_config):
    edit_yaml(small_config / DATA, set_at("data_sources", {"cifar10": {"url": "http://mirror/x.tar.gz"}}))
    with pytest.raises(ConfigError, match=r"data_sources\.cifar10: a source of your own needs its checksum: add 'md5'"):
        load_config(small_config)


def test_settings_of_a_dataset_lie_over_the_general_ones():
    training = load_config(PROJECT_CONFIG).models["rcnn"].training
    assert training.for_dataset("mnist").epochs == 4
    assert training.for_dataset("cifar10").epochs == training.epochs == 20


def test_config_folder_is_the_variable_then_the_roots_own_then_the_packaged_one(small_config, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert find_config_folder(tmp_path) == small_config
    assert find_config_folder(elsewhere) == PROJECT_CONFIG
    monkeypatch.setenv("DYNVISION_CONFIG", str(elsewhere))
    assert find_config_folder(tmp_path) == elsewhere


def test_unknown_names_are_errors_of_one_family():
    assert issubclass(UnknownNameError, ConfigError)
    assert issubclass(ConfigError, ValueError)


REFUSED = [
    (EXPERIMENTS, "experiment_config.contrast.subjects", ["rcnn_gratings", "rcnn_gratings"], "listed twice"),
    (
        EXPERIMENTS,
        "experiment_config.contrast.status",
        "trained-epoch=0",
        "is not one of init, trained",
    ),
    (
        DATA,
        "data_sources.cifar10",
        {"url": "http://m/c", "files": {"c": "0" * 32}},
        "one archive; give its checksum",
    ),
    (DATA, "data_sources.mnist", {"url": "http://m/", "md5": "0" * 32}, "mnist is 4 files"),
    (DATA, "data_sources.gratings", {"url": "http://m/g", "md5": "0" * 32}, "'gratings' is not downloaded"),
    (DATA, "owners", ["vision"], "owners"),
    (DATA, "data_statistics.gratings", {"mean": [0.5], "std": [0.3]}, "1 means for images of 3 channels"),
]


@pytest.mark.parametrize(("file", "key", "value", "message"), REFUSED, ids=[case[3] for case in REFUSED])
def test_setting_that_could_not_work_is_refused_when_it_is_read(small_config, file, key, value, message):
    edit_yaml(small_config / file, set_at(key, value))
    with pytest.raises(ConfigError, match=message):
        load_config(small_config)


def test_subject_whose_dataset_has_no_statistics_is_refused(small_config):
    edit_yaml(small_config / DATA, lambda content: content["data_statistics"].pop("gratings"))
    with pytest.raises(ConfigError, match=r"subjects\.rcnn_gratings\.dataset: 'gratings' has no data_statistics"):
        load_config(small_config)
