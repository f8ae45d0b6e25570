"""What is not there, or is asked for by a wrong name, and what a message says then."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest

import dynvision_assets as dva
from dynvision.errors import ConfigError, DamagedFileError, MissingError, UnknownNameError
from tests.helpers.making import CONTRASTS


def test_missing_conditions_are_nan_where_that_is_allowed(chain: Path) -> None:
    whole = dva.load("responses/contrast/rcnn_gratings", root=chain)["V1"]["mean"].values
    (chain / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr").rename(chain / "elsewhere")
    response = dva.load("responses/contrast/rcnn_gratings", allow_missing=True, root=chain)["V1"]["mean"]
    assert isinstance(response.data, dask.array.Array)
    assert response["contrast"].values.tolist() == CONTRASTS
    assert np.isnan(response.sel(contrast=0.5).values).all()
    rest = [0.1, 0.8, 1.0]
    np.testing.assert_array_equal(response.sel(contrast=rest).values, whole[[0, 2, 3]])


def test_a_missing_cell_of_a_grid_leaves_the_others_in_their_place(chain: Path) -> None:
    whole = dva.load("responses/contrast_duration/rcnn_gratings", root=chain)["IT"]["mean"].values
    store = chain / "data/responses/contrast_duration/rcnn_gratings/duration=1,contrast=0.5.zarr"
    store.rename(chain / "elsewhere")
    tree = dva.load("responses/contrast_duration/rcnn_gratings", allow_missing=True, root=chain)
    response = tree["IT"]["mean"].values
    assert tree["IT"]["mean"].dims == ("duration", "contrast", "sample", "time", "channel")
    assert np.isnan(response[0, 1]).all()
    there = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)]
    for cell in there:
        np.testing.assert_array_equal(response[cell], whole[cell])


def test_missing_conditions_are_an_error_otherwise_and_name_the_command(chain: Path) -> None:
    (chain / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr").rename(chain / "elsewhere")
    command = "Make it: dynvision make responses/contrast/rcnn_gratings:contrast=0.5"
    with pytest.raises(MissingError, match=f"{re.escape(command)}$"):
        dva.load("responses/contrast/rcnn_gratings", root=chain)
    with pytest.raises(MissingError, match=re.escape(command)):
        dva.load("responses/contrast/rcnn_gratings", contrast=0.5, allow_missing=True, root=chain)


@pytest.mark.parametrize(
    ("target", "settings", "command"),
    [
        ("raw/gratings", {"split": "train"}, "raw/gratings:train"),
        ("interim/gratings", {"split": "test", "group": "ends"}, "interim/gratings:test_ends"),
        ("processed/gratings", {"split": "test"}, "processed/gratings:test_all"),
        ("models/rcnn/gratings", {"group": "ends"}, "models/rcnn/gratings:ends_s0"),
        ("responses/contrast/rcnn_gratings", {}, "responses/contrast/rcnn_gratings"),
        ("summary/contrast/rcnn_ends", {}, "summary/contrast/rcnn_ends"),
    ],
)
def test_what_has_not_been_made_names_the_command_that_makes_it(
    empty_root: Path, target: str, settings: dict[str, Any], command: str
) -> None:
    with pytest.raises(MissingError, match=f"has not been made. Make it: dynvision make {re.escape(command)}$"):
        dva.load(target, **settings, root=empty_root)


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("row/gratings", {}, "unknown stage 'row'. Did you mean 'raw'?"),
        ("raw/grating", {"split": "test"}, "unknown dataset 'grating'. Did you mean 'gratings'?"),
        ("raw/gratings", {"split": "tests"}, "unknown partition 'tests'. Did you mean 'test'?"),
        (
            "interim/gratings",
            {"split": "test", "group": "end"},
            "unknown partition 'test_end'. Did you mean 'test_ends'?",
        ),
        ("processed/gratings:train_all", {"file": "vall"}, "unknown file 'vall'. Did you mean 'val'?"),
        ("models/rnn/gratings", {}, "unknown model 'rnn'. Did you mean 'rcnn'?"),
        ("models/rcnn/gratings", {"group": "ends", "seed": 1}, "unknown partition 'ends_s1'. Did you mean 'ends_s0'?"),
        ("responses/contrats/rcnn_gratings", {}, "unknown experiment 'contrats'. Did you mean 'contrast'?"),
        ("responses/contrast/rcnn_grating", {}, "unknown subject 'rcnn_grating'. Did you mean 'rcnn_gratings'?"),
        (
            "responses/contrast/rcnn_gratings",
            {"contrast": 0.45},
            "unknown level of 'contrast' '0.45'. Did you mean '0.5'?",
        ),
        ("responses/contrast/rcnn_gratings", {"contras": 0.5}, "unknown parameter 'contras'. Did you mean 'contrast'?"),
        ("responses/contrast/rcnn_gratings:0.9", {}, "unknown level of 'contrast' '0.9'. Did you mean '"),
    ],
)
def test_an_unknown_name_names_the_nearest(
    made_root: Path, target: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        dva.load(target, **settings, root=made_root)


def test_a_partition_that_is_not_said_is_asked_for_with_its_names(made_root: Path) -> None:
    with pytest.raises(ConfigError, match="partitions train_all, train_ends, test_all, test_ends; say which"):
        dva.load("interim/gratings", root=made_root)
    with pytest.raises(ConfigError, match="interim/gratings: give either the partition, or split=, group="):
        dva.load("interim/gratings", partition="test_all", split="test", root=made_root)


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("summary/contrast/rcnn_gratings", {"contrast": 0.5}, "has no option 'contrast'. Valid: table."),
        ("summary/contrast/rcnn_gratings", {"split": "test"}, "has no option 'split'. Valid: table."),
        ("raw/gratings", {"split": "test", "group": "ends"}, "has no option 'group'. Valid: partition, split."),
        ("raw/gratings:test", {"seed": 1}, "has no option 'seed'. Valid: partition, split."),
        ("interim/gratings:test_all", {"file": "test"}, "has no option 'file'. Valid: partition, split, group."),
        (
            "processed/gratings",
            {"split": "test", "seed": 0},
            "has no option 'seed'. Valid: partition, split, group, file.",
        ),
        ("models/rcnn/gratings", {"split": "train"}, "has no option 'split'. Valid: partition, group, seed."),
        ("models/rcnn/gratings", {"table": "fits"}, "has no option 'table'. Valid: partition, group, seed."),
        (
            "responses/contrast/rcnn_gratings",
            {"seed": 0},
            "has no option 'seed'. Valid: partition, contrast, allow_missing.",
        ),
    ],
)
def test_an_option_that_does_not_apply_is_an_error_with_the_valid_ones(
    made_root: Path, target: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        dva.load(target, **settings, root=made_root)


@pytest.mark.parametrize(
    ("target", "option", "valid"),
    [
        ("responses/contrast/rcnn_gratings", {"allow_missing": True}, "partition, contrast."),
        ("processed/gratings", {"file": "train"}, "partition, split, group."),
        ("summary/contrast/rcnn_gratings", {"table": "fits"}, ""),
    ],
)
def test_a_path_has_no_options_of_loading(made_root: Path, target: str, option: dict[str, Any], valid: str) -> None:
    with pytest.raises(TypeError, match=f"has no option '{next(iter(option))}'.*{valid}"):
        dva.path(target, **option, root=made_root)


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        ("models/rcnn/gratings:ends_s0", {"group": "all"}),
        ("interim/gratings:test_all", {"split": "train"}),
        ("responses/contrast/rcnn_gratings:0.5", {"contrast": 0.8}),
        ("raw/gratings:test", {"partition": "train"}),
    ],
)
def test_a_partition_that_is_named_twice_is_an_error(made_root: Path, target: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"give either the partition, or|already names a partition"):
        dva.load(target, **settings, root=made_root)


def test_a_network_is_the_one_that_its_target_names(made_root: Path) -> None:
    assert dva.path("models/rcnn/gratings:ends_s0", root=made_root).name == "ends_s0"
    with pytest.raises(MissingError, match="models/rcnn/gratings:ends_s0 has not been made"):
        dva.load("models/rcnn/gratings:ends_s0", root=made_root)


def test_a_damaged_file_is_not_opened_and_the_message_names_the_command(chain: Path) -> None:
    path = chain / "data/processed/gratings/test_all/test.beton"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=re.escape(f"Rebuild it: dynvision make --force {path}")):
        dva.load("processed/gratings", split="test", root=chain)
