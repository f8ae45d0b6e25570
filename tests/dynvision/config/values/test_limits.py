from __future__ import annotations

import os
import time

import pytest

from dynvision.config import find_config_folder, load_config
from dynvision.config.sections.models import ModelConfig, TrainingConfig
from dynvision.config.values.patterns import check_placeholders, fill_pattern
from dynvision.config.values.transform_calls import parse_call
from dynvision.errors import ConfigError
from tests.helpers.configuration import CONFIG, edit_yaml, set_at, write_config

DATA, MODELS, EXPERIMENTS = "config_data.yaml", "config_models.yaml", "config_experiments.yaml"
CONTRAST = "experiment_config.contrast"


@pytest.fixture
def folder(tmp_path):
    return write_config(tmp_path)


def message_of(folder) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


AS_TEXT = [
    (DATA, "train_ratio: 0.75", "train_ratio: '0.75'", "train_ratio: a number is needed, not the text '0.75'"),
    (DATA, "use_ffcv: true", "use_ffcv: yes", "use_ffcv: true or false is needed, not the text 'yes': write true"),
    (DATA, "use_ffcv: true", "use_ffcv: 1", "use_ffcv: true or false is needed, not 1"),
    (DATA, "{ends: [0, 2]}", "{ends: [false, true]}", "ends.0: a whole number is needed, not false"),
    (DATA, "orientations: 3", "orientations: 3.0", "gratings.orientations: a whole number is needed, not 3.0: write 3"),
    (DATA, "orientations: 3", "orientations: 03", "gratings.orientations: 03 begins with a zero"),
    (EXPERIMENTS, "idle: 2", "idle: yes", "contrast.idle: a whole number is needed, not the text 'yes'"),
    (EXPERIMENTS, "idle: 2", "idle: true", "contrast.idle: a whole number is needed, not true"),
    (EXPERIMENTS, "idle: 2", "idle: 1:30", "contrast.idle: a whole number is needed, not the text '1:30'"),
    (EXPERIMENTS, "idle: 2", "idle: 1_0", "contrast.idle: a whole number is needed, not the text '1_0': write 10"),
    (EXPERIMENTS, "idle: 2", "idle: 1000000000000", "it must be less than or equal to 1000000, not 1000000000000"),
    (EXPERIMENTS, "seed: 0, sensor_noise: 0.5", "seed: true", "rcnn_gratings.seed: a whole number is needed, not true"),
    (EXPERIMENTS, "seed: 0, sensor_noise: 0.5", "seed: 4294967296", "less than or equal to 4294967295"),
    (EXPERIMENTS, "seed: 0, sensor_noise: 0.5", f"seed: {2**70}", "has more than 64 bits"),
    (EXPERIMENTS, "seed: 0, sensor_noise: 0.5", "sensor_noise: .inf", "sensor_noise: .inf is no finite number"),
    (EXPERIMENTS, "seed: 0, sensor_noise: 0.5", "sensor_noise: 1e300", "less than or equal to 1000000"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 010", "YAML 1.1 reads 8, YAML 1.2 reads 10"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 1000000000000", "longer than any trial"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: true", "n_timesteps (in time steps) must be a whole number from 1, not True"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: {a: 1}", "n_timesteps (in time steps) must be a whole number from 1"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 6, dt: 1e-300", "dt (the length of a time step in milliseconds) must be"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 6, void_value: 1e30", "void_value must be a number from -1e+06"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 6, sensor_noise: -1", "sensor_noise (a standard deviation) must be"),
    (EXPERIMENTS, "tsteps: 6", "tsteps: 6, 1: 2", "data_args.1: a text is needed, not 1: put quotes around it"),
    (EXPERIMENTS, "[0.1, 0.5, 0.8, 1.0]", "[0.1, null]", "contrast must be a number from 0 to 1, not None"),
    (MODELS, "batch_size: 12", "batch_size: 100000000", "less than or equal to 65536, not 100000000"),
    (MODELS, "epochs: 1,", "epochs: 100000000,", "less than or equal to 100000"),
    (MODELS, "epochs: 1,", "learning_rate: 1e9,", "less than or equal to 1000"),
    (MODELS, "channels: [4, 4, 4, 4]", "channels: [0, 4, 4, 4]", "models.rcnn.args: channels of V1 must be a whole"),
    (MODELS, "channels: [4, 4, 4, 4]", "channels: 4", "models.rcnn.args: channels and strides have one entry for each"),
    (MODELS, "tau: 10.0", "tau: 10.0, kernel: 3", "models.rcnn.args: dynvision.models:RCNN has no argument 'kernel'"),
    (MODELS, "tau: 10.0", "tau: {null: 1}", "models.rcnn.args: tau: the key None is no text"),
    (DATA, "std: [0.29, 0.29, 0.29]", "std: [0.29, .inf, 0.29]", ".inf is no finite number"),
    (DATA, "std: [0.29, 0.29, 0.29]", "std: [0.29, 1e-300, 0.29]", "a standard deviation below 0.000001"),
    (DATA, "{train: []}", '{train: ["Resize(9**9**9)"]}', "train.0: 'Resize(9**9**9)' is not a transform"),
    (DATA, "{train: []}", '{train: ["Resize(1e999)"]}', "a number is not finite or above"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), AS_TEXT, ids=[f"{c[2][:40]}" for c in AS_TEXT])
def test_setting_that_is_no_such_value_is_refused_when_it_is_read(folder, file, old, new, message):
    text = CONFIG[file]
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    assert message in message_of(folder)


def test_lists_do_for_pairs_and_whole_numbers_for_numbers():
    assert TrainingConfig(contrast_range=[0.5, 1]).contrast_range == (0.5, 1.0)
    assert TrainingConfig(learning_rate=1).learning_rate == 1


@pytest.mark.parametrize("name", ["x" * 64, "x" * 68, "x" * 300])
def test_name_that_no_tag_of_dagster_holds_is_refused(folder, name):
    edit_yaml(
        folder / EXPERIMENTS, lambda content: content["subjects"].update({name: content["subjects"]["rcnn_ends"]})
    )
    assert f"has {len(name)} characters; 63 at most" in message_of(folder)


def test_name_of_63_characters_is_taken(folder):
    edit_yaml(
        folder / EXPERIMENTS, lambda content: content["subjects"].update({"x" * 63: content["subjects"]["rcnn_ends"]})
    )
    assert "x" * 63 in load_config(folder).subjects


@pytest.mark.parametrize("pair", [("rcnn-ends", "rcnn_ends"), ("Rcnn_ends", "rcnn_ends")])
def test_two_names_that_become_one_are_refused(folder, pair):
    edit_yaml(folder / EXPERIMENTS, lambda content: content["subjects"].update({pair[0]: content["subjects"][pair[1]]}))
    message = message_of(folder)
    assert "config_experiments.yaml: subjects: the subjects 'rcnn_ends' and" in message
    assert "rename one of them" in message


def test_two_assets_that_become_one_in_dagster_are_refused(folder):
    def change(content):
        content["subjects"] |= {"c": content["subjects"]["rcnn_ends"], "b__c": content["subjects"]["rcnn_ends"]}
        experiment = content["experiment_config"]["contrast"]
        content["experiment_config"] = {
            "a__b": experiment | {"subjects": ["c"]},
            "a": experiment | {"subjects": ["b__c"]},
        }

    edit_yaml(folder / EXPERIMENTS, change)
    assert "the assets 'a__b/c' and 'a/b__c' become one name in Dagster" in message_of(folder)


def test_condition_whose_name_is_too_long_for_a_file_is_refused(folder):
    gap, image = "g" * 60, "i" * 60
    program = {"tsteps": 9, "program": [{"void": f"${gap}"}, {"image": f"${image}"}], gap: [1, 2], image: [1, 2]}

    def change(content):
        content["experiment_config"]["contrast"] |= {
            "data_loader": "StimulusProgram", "parameter": [gap, image], "data_args": program
        }  # fmt: skip

    edit_yaml(folder / EXPERIMENTS, change)
    load_config(folder)
    for name in (gap, image):
        edit_yaml(folder / EXPERIMENTS, set_at(f"{CONTRAST}.data_args.{name}", ["x" * 63, "y" * 63]))
    assert "the name of a condition has 249 characters and becomes a file name" in message_of(folder)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ([{"repeat": 1_000_000, "program": [{"repeat": 1_000_000, "program": []}]}], "the program to repeat is empty"),
        ([{"repeat": 1_000_000, "program": [{"void": 0}]}], "the program has more than 20000 segments"),
        ([{"image": 2, "which": 10**9}], "a segment's frame"),
    ],
)
def test_program_without_end_is_refused_at_once(folder, program, message):
    def change(content):
        experiment = content["experiment_config"]["contrast"]
        content["experiment_config"]["contrast"] = experiment | {
            "data_loader": "StimulusProgram", "parameter": "gap",
            "data_args": {"tsteps": 9, "program": [*program, {"void": "$gap"}], "gap": [1]},
        }  # fmt: skip

    edit_yaml(folder / EXPERIMENTS, change)
    began = time.process_time()
    assert message in message_of(folder)
    assert time.process_time() - began < 5


BAD_PATTERNS = ["{dataset.__class__}", "{seed[0]}", "{seed:>1000000000}", "{}", "{0}", "{", "}", "{seed!r}", "{other}"]


@pytest.mark.parametrize("pattern", BAD_PATTERNS)
def test_checkpoint_holds_plain_placeholders_alone(pattern):
    with pytest.raises(ValueError, match=r"may contain {dataset}, {group}, {seed}, nothing else"):
        ModelConfig(**{"class": "a:B", "checkpoint": pattern})
    with pytest.raises(ValueError, match="may contain"):
        fill_pattern(pattern, {"dataset": "a", "seed": 0})


def test_placeholders_are_filled_and_double_braces_are_braces():
    check_placeholders("{{x}}_{seed}", ("seed",))
    assert fill_pattern("{{x}}_{dataset}_{seed}.pt", {"dataset": "mnist", "seed": 3}) == "{x}_mnist_3.pt"


STRANGE_CALLS = [
    "-" * 100_000 + "1",
    "(" * 300,
    "f(**{'a': 1})",
    "f({[]: 1})",
    "f(1j)",
    "f(b'x')",
    "f(x.y)",
    "f(1e999)",
]


@pytest.mark.parametrize("text", [*STRANGE_CALLS, "f(" + "9" * 900 + ")", "f(1)(2)", "", "f(\0)", "é é"])
def test_transform_that_is_no_name_with_literals_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a transform|has 10000"):
        parse_call(text)


def test_transform_is_a_name_with_literals():
    call = parse_call("RandomAffine(0, translate=(0.1, -0.1), fill=None)")
    assert (call.name, call.arguments, call.named) == ("RandomAffine", [0], {"translate": (0.1, -0.1), "fill": None})
    assert parse_call("ToTensor").name == "ToTensor"


FILES = {
    "UTF-16": "a: 1".encode("utf-16"),
    "the byte 0xe9 is not UTF-8": b"# caf\xe9\n",
    "line 2, column 4: not valid YAML: the control character U+0007": b"a: 1\nb: \x07",
    "line 1, column 1: not valid YAML: the control character U+0000": b"\0" * 10,
    "the file must contain keys and values, not a list": b"- 1",
}


@pytest.mark.parametrize("message", FILES)
def test_file_that_is_no_text_is_one_sentence(folder, message):
    (folder / DATA).write_bytes(FILES[message])
    assert message in message_of(folder)


def test_file_with_a_byte_order_mark_or_other_line_ends_is_read(folder):
    for name, text in CONFIG.items():
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load_config(folder).datasets == ["gratings"]


def test_pipe_folder_device_and_loop_of_links_are_one_sentence(folder):
    path = folder / DATA
    path.unlink()
    os.mkfifo(path)
    assert "is a pipe, not a file" in message_of(folder)
    path.unlink()
    path.mkdir()
    assert "is a folder, not a file" in message_of(folder)
    path.rmdir()
    path.symlink_to("/dev/zero")
    assert "is a device, not a file" in message_of(folder)
    path.unlink()
    path.symlink_to(path)
    assert "cannot be read: Too many levels of symbolic links" in message_of(folder)


def test_file_that_may_not_be_read_is_said_and_not_called_missing(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dynvision.config.yaml_text.files.os.open", refuse)
    assert "cannot be read: Permission denied" in message_of(folder)


def test_folder_that_may_not_be_looked_at_is_said(folder, monkeypatch):
    def refuse(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.exists", refuse)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        find_config_folder(folder.parent)


def test_home_of_nobody_is_said(monkeypatch):
    monkeypatch.setenv("DYNVISION_CONFIG", "~nobody-of-that-name/config")
    with pytest.raises(ConfigError, match="DYNVISION_CONFIG is '~nobody-of-that-name/config', which is no folder"):
        load_config()
