"""The values of assets, as Dagster loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

import dynvision_assets as dva
from dynvision.errors import MissingError
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.making import stored


@pytest.fixture(scope="module")
def definitions(made_root: Path) -> dg.Definitions:
    return make_definitions(open_workspace(made_root))


def test_dagster_loads_the_value_of_interim(definitions: dg.Definitions) -> None:
    images: Any = definitions.load_asset_value(["interim", "gratings"], partition_key="train_ends")
    assert len(images) == 24
    assert sorted(set(images.targets)) == [0, 2]


def test_dagster_loads_the_value_of_processed(definitions: dg.Definitions, made_root: Path) -> None:
    found: Any = definitions.load_asset_value(["processed", "gratings"], partition_key="test_all")
    assert found.path == made_root / "data/processed/gratings/test_all/test.beton"
    assert found.sidecar["file"]["samples"] == 12


def test_dagster_loads_the_value_of_one_condition(definitions: dg.Definitions, made_root: Path) -> None:
    tree: Any = definitions.load_asset_value(["responses", "contrast", "rcnn_gratings"], partition_key="0.8")
    np.testing.assert_array_equal(
        tree["V1"]["mean"].sel(contrast=0.8).values, stored(made_root, "contrast", "contrast=0.8", "V1/mean")
    )


def test_dagster_loads_the_value_of_one_cell_of_a_grid(definitions: dg.Definitions, made_root: Path) -> None:
    key = dg.MultiPartitionKey({"contrast": "0.1", "duration": "3"})
    tree: Any = definitions.load_asset_value(["responses", "contrast_duration", "rcnn_gratings"], partition_key=key)
    values = stored(made_root, "contrast_duration", "duration=3,contrast=0.1", "IT/mean")
    np.testing.assert_array_equal(tree["IT"]["mean"].sel(contrast=0.1, duration=3).values, values)


def test_dagster_loads_the_value_of_summary(definitions: dg.Definitions, made_root: Path) -> None:
    table: Any = definitions.load_asset_value(["summary", "contrast", "rcnn_gratings"])
    pd.testing.assert_frame_equal(table, dva.load("summary/contrast/rcnn_gratings", root=made_root))


def test_dagster_names_the_command_for_a_value_that_has_not_been_made(definitions: dg.Definitions) -> None:
    with pytest.raises(MissingError, match="Make it: dynvision make processed/gratings:train_ends"):
        definitions.load_asset_value(["processed", "gratings"], partition_key="train_ends")
