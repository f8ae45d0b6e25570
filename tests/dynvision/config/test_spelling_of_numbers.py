"""A number of a presentation has one spelling, so that `1` and `1.0` are one partition and one data version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynvision.config import load_config
from dynvision.config.conditions import parse_condition
from dynvision.errors import UnknownNameError
from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml, set_at

KEY = "responses/contrast/rcnn_gratings"
PROGRAM = [{"void": 1}, {"image": 2, "contrast": "$c"}, {"void": "$gap"}]


def settings(folder: Path) -> dict[str, Any]:
    workspace = Workspace.open(folder.parent, folder)
    stage = workspace.stages["responses"]
    return {str(t): stage.settings(t) for t in workspace.targets(tuple(KEY.split("/")))}


UNCHANGED = [("responses", name, "rcnn_invertebrates") for name in ("contrast_duration", "noise", "response", "null")]
"""Experiments whose settings have been the same since before numbers had one spelling."""


def test_the_shipped_partitions_and_settings_are_the_same_as_ever(tmp_path: Path) -> None:
    """A digest of partitions and settings; source digests follow the code and are left out."""
    workspace = Workspace.open(tmp_path, PROJECT_CONFIG)
    digests = {}
    keys = [key for key in workspace.keys if key[0] in ("raw", "interim", "processed") or key in UNCHANGED]
    for target in (target for key in keys for target in workspace.targets(key)):
        kept = {name: value for name, value in workspace.stage(target).settings(target).items() if name != "source"}
        digests[str(target)] = digest_json(kept)
    assert (len(digests), digest_json(digests)) == (66, "76320f2ab8c9df4b9bbc919ffa353fc4")


def test_levels_that_are_written_otherwise_are_the_same_partitions(small_config: Path) -> None:
    before = settings(small_config)
    edit_yaml(
        small_config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"]["data_args"].update(
            contrast=[0.10, 0.5, 1], stim=4.0, tsteps=6.0, intro=1.0
        ),
    )
    assert digest_json(settings(small_config)) == digest_json(before)


def test_durations_have_no_fraction_and_contrasts_have_one(small_config: Path) -> None:
    args = {"tsteps": 10, "stim": [1.0, 2, 3.0], "contrast": [0, 1]}
    edit_yaml(
        small_config / "config_experiments.yaml",
        set_at("experiment_config.contrast_duration.data_args", args),
    )
    levels = load_config(small_config).experiments["contrast_duration"].levels()
    assert levels == {"contrast": ["0.0", "1.0"], "duration": ["1", "2", "3"]}


def test_a_placeholder_means_what_stands_in_its_place(small_config: Path) -> None:
    experiment = {
        "parameter": ["c", "gap"],
        "data_loader": "StimulusProgram",
        "data_args": {"tsteps": 9, "program": PROGRAM, "gap": [1.0, 2], "c": [1, 0.5]},
    }
    edit_yaml(small_config / "config_experiments.yaml", set_at("experiment_config.contrast", experiment))
    read = load_config(small_config).experiments["contrast"]
    assert read.levels() == {"c": ["1.0", "0.5"], "gap": ["1", "2"]}
    assert repr(read.arguments({"c": "1.0", "gap": "1"})["program"]) == repr(
        [{"void": 1}, {"image": 2, "contrast": 1.0}, {"void": 1}]
    )


@pytest.mark.parametrize("text", ["1", "1.0", "1.00", "+1", "1e0", "contrast=1", "contrast=1.0"])
def test_the_command_line_finds_a_level_however_it_is_written(small_config: Path, text: str) -> None:
    workspace = Workspace.open(small_config.parent, small_config)
    assert [str(target) for target in parse_target(workspace, f"{KEY}:{text}")] == [f"{KEY}:contrast=1.0"]


@pytest.mark.parametrize("level", [1, 1.0, True, "1", "1e0"])
def test_python_finds_a_level_however_it_is_written(small_config: Path, level: Any) -> None:
    stage = Workspace.open(small_config.parent, small_config).stages["responses"]
    key = ("responses", "contrast", "rcnn_gratings")
    if level is True:
        with pytest.raises(UnknownNameError, match="unknown level of 'contrast' 'true'"):
            stage.select(key, contrast=level)
    else:
        assert stage.select(key, contrast=level) == [Target(key, "contrast=1.0")]


@pytest.mark.parametrize("text", ["1_0", "nan", "0.11", "ten", ""])
def test_another_number_is_no_level(small_config: Path, text: str) -> None:
    experiment = load_config(small_config).experiments["contrast"]
    with pytest.raises(UnknownNameError):
        parse_condition(experiment, f"contrast={text}", "here")


@pytest.mark.parametrize("written", ["1e-05", "1e-5", "1.0E-5", "0.00001"])
def test_a_number_with_an_exponent_is_a_level_however_it_is_written(small_config: Path, written: str) -> None:
    path = small_config / "config_experiments.yaml"
    edit_yaml(path, set_at("experiment_config.contrast.data_args.contrast", ["TINY", 1.0]))
    path.write_text(path.read_text().replace("TINY", written))
    workspace = Workspace.open(small_config.parent, small_config)
    key = tuple(KEY.split("/"))
    stage = workspace.stages["responses"]
    tiny = Target(key, "contrast=1e-05")
    assert workspace.targets(key)[0] == tiny
    assert stage.presentation(tiny).contrasts.min() == 1e-5
    for given in ("1e-05", "1E-5", "0.00001", "contrast=1e-5"):
        assert parse_target(workspace, f"{KEY}:{given}") == [tiny]
    for value in (1e-05, "1e-5", [1e-05], slice(None, 0.1)):
        assert stage.select(key, contrast=value) == [tiny]


@pytest.mark.parametrize("written", ["1e1", "1E1", "1.0e+1", "10"])
def test_a_duration_with_an_exponent_is_a_whole_number(small_config: Path, written: str) -> None:
    path = small_config / "config_experiments.yaml"
    edit_yaml(path, set_at("experiment_config.duration.data_args", {"tsteps": 12, "stim": [1, "LONG"]}))
    path.write_text(path.read_text().replace("LONG", written))
    workspace = Workspace.open(small_config.parent, small_config)
    targets = workspace.targets(("responses", "duration", "rcnn_gratings"))
    assert [target.partition for target in targets] == ["duration=1", "duration=10"]
