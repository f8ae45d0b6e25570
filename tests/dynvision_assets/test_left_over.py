"""Outputs that the configuration does not name any more are listed, with their size, and never deleted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import dynvision_assets as dva
from dynvision.errors import UnknownNameError
from dynvision.workspace.leftovers import find_leftovers
from tests.helpers.chains import open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config

NAMED = "{tsteps: 6, intro: 1, stim: 3, contrast: [0.1, 0.5, 0.8, 1.0]}"


def left(root: Path) -> list[tuple[str, str, str]]:
    return [(leftover.name, leftover.noun, leftover.path.name) for leftover in find_leftovers(open_workspace(root))]


def test_nothing_is_left_of_what_is_named(made_root: Path) -> None:
    assert left(made_root) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            NAMED,
            NAMED.replace("0.5, ", ""),
            [
                ("responses/contrast/rcnn_ends:contrast=0.5", "partition", "contrast=0.5.zarr"),
                ("responses/contrast/rcnn_gratings:contrast=0.5", "partition", "contrast=0.5.zarr"),
            ],
        ),
        (
            "subjects: all",
            "subjects: [rcnn_gratings]",
            [("responses/contrast/rcnn_ends", "subject", "rcnn_ends")],
        ),
        (
            "  contrast:\n    parameter: contrast\n",
            "  other:\n    parameter: contrast\n",
            [
                ("responses/contrast", "experiment", "contrast"),
                ("summary/contrast", "experiment", "contrast"),
            ],
        ),
        (
            "use_ffcv: true",
            "use_ffcv: false",
            [("processed", "stage", "processed")],
        ),
    ],
)
def test_what_is_removed_from_the_configuration_is_found(
    chain: Path, old: str, new: str, expected: list[tuple[str, str, str]]
) -> None:
    edit_config(chain, old, new)
    assert left(chain) == expected


def test_groups_seeds_models_and_datasets_are_found(chain: Path) -> None:
    data = chain / "data"
    for old, new in (
        ("interim/gratings/train_all", "interim/gratings/train_old"),
        ("processed/gratings/test_all", "processed/gratings/test_old"),
        ("models/rcnn/gratings/all_s0", "models/rcnn/gratings/all_s7"),
        ("models/rcnn/gratings/all_s0", "models/old/gratings/all_s0"),
        ("raw/gratings/test", "raw/old/test"),
        ("responses/contrast/rcnn_ends/contrast=0.5.zarr", "responses/contrast/rcnn_ends/.contrast=0.3.zarr.partial"),
    ):
        shutil.copytree(data / old, data / new, symlinks=True)
    assert left(chain) == [
        ("raw/old", "dataset", "old"),
        ("interim/gratings:train_old", "partition", "train_old"),
        ("processed/gratings:test_old", "partition", "test_old"),
        ("models/old", "model", "old"),
        ("models/rcnn/gratings:all_s7", "partition", "all_s7"),
        ("responses/contrast/rcnn_ends:contrast=0.3", "partition", ".contrast=0.3.zarr.partial"),
    ]


def test_files_of_the_user_are_not_ours(chain: Path) -> None:
    for folder in ("reports/paper", "raw/faces/train/ann", "models/rcnn/notes", "responses/contrast/.hidden"):
        (chain / "data" / folder).mkdir(parents=True)
        (chain / "data" / folder / "notes.txt").write_text("mine")
    assert left(chain) == []


def test_list_names_each_with_its_size_and_says_what_to_do(chain: Path) -> None:
    edit_config(chain, NAMED, NAMED.replace("0.5, ", ""))
    done = call_dynvision(chain, "list", "responses/contrast/rcnn_ends")
    *_, line, advice = done.stdout.splitlines()
    assert line.startswith("left over: data/responses/contrast/rcnn_ends/contrast=0.5.zarr, ")
    assert line.endswith("kB: its partition is not in the configuration")
    assert advice == "nothing uses this folder: delete what you do not need, or name it in the configuration again"
    row = json.loads(call_dynvision(chain, "list", "responses/contrast/rcnn_ends", "--json").stdout)[-1]
    assert (row["left_over"], row["missing"]) == ("responses/contrast/rcnn_ends:contrast=0.5", 0)
    assert row["bytes"] > 1000
    assert (chain / row["path"] / "record.json").is_file()


def test_load_and_make_say_that_it_is_on_the_disk(chain: Path) -> None:
    edit_config(chain, NAMED, NAMED.replace("0.5, ", ""))
    sentence = r"contrast=0\.5\.zarr is on the disk, but its partition is no longer in the configuration"
    key = "responses/contrast/rcnn_ends"
    for arguments in (
        {"target": f"{key}:0.50"},
        {"target": f"{key}:contrast=0.5"},
        {"target": key, "partition": "0.5"},
        {"target": key, "contrast": 0.5},
        {"target": f"data/{key}/contrast=0.5.zarr"},
    ):
        with pytest.raises(UnknownNameError, match=sentence):
            dva.load(root=chain, **arguments)
    with pytest.raises(UnknownNameError) as caught:
        dva.load(f"{key}:0.3", root=chain)
    assert "on the disk" not in str(caught.value)
    done = call_dynvision(chain, "show", f"{key}:0.5")
    assert done.exit_code == 2
    assert "is on the disk, but its partition is no longer" in done.stderr


def test_the_catalog_lists_it_if_asked(chain: Path) -> None:
    edit_config(chain, "subjects: all", "subjects: [rcnn_gratings]")
    assert "left over" not in set(dva.catalog(root=chain).state)
    table = dva.catalog("responses/contrast/rcnn_ends", left_over=True, root=chain)
    assert table.target.tolist() == ["responses/contrast/rcnn_ends"]
    assert table.bytes[0] > 1000
