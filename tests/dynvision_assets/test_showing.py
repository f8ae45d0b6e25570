"""The images behind responses."""

from __future__ import annotations

from pathlib import Path

import dask.array
import numpy as np
import pytest

import dynvision_assets as dva
from dynvision.errors import ConfigError, DamagedFileError
from tests.helpers.configuration import edit_config

KEY = "responses/contrast/rcnn_gratings"


def test_images_are_those_that_the_loader_gives_before_they_are_standardized(made_root: Path) -> None:
    tree = dva.load(KEY, root=made_root)
    shown = dva.images(tree)
    assert isinstance(shown.data, dask.array.Array)
    assert (shown.dims, shown.shape, shown.dtype) == (("sample", "channel", "y", "x"), (12, 3, 32, 32), np.float32)
    assert shown["label"].values.tolist() == tree["label"].values.tolist()
    raw = dva.load("interim/gratings", split="test", group="all", root=made_root)
    wanted = np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) / 255 for image, _ in raw])
    np.testing.assert_allclose(shown, wanted, atol=1e-6)


def test_images_of_one_condition_of_a_layer_and_of_some_samples(made_root: Path) -> None:
    tree = dva.load(KEY, root=made_root)
    whole = dva.images(tree).values
    np.testing.assert_array_equal(dva.images(dva.load(f"{KEY}:0.5", root=made_root)), whole)
    np.testing.assert_array_equal(dva.images(tree["V1"]), whole)
    np.testing.assert_array_equal(dva.images(tree.isel(sample=[7, 2, 7]), root=made_root), whole[[7, 2, 7]])
    second = tree.isel(sample=np.flatnonzero(tree["label"].values == 1))
    np.testing.assert_array_equal(dva.images(second, root=made_root), whole[tree["label"].values == 1])


def test_images_of_a_group_are_its_own(made_root: Path) -> None:
    shown = dva.images(dva.load("responses/contrast/rcnn_ends", root=made_root))
    whole = dva.images(dva.load(KEY, root=made_root))
    np.testing.assert_array_equal(shown, whole[np.isin(whole["label"], [0, 2])])


def test_images_that_were_made_again_are_an_error(chain: Path) -> None:
    tree = dva.load(KEY, root=chain)
    edit_config(chain, "gratings: 32}", "gratings: 16}")
    record = chain / "data/processed/gratings/test_all/test.beton.json"
    record.write_text(record.read_text().replace("processed/gratings:test_all", "processed/gratings:test_ends"))
    with pytest.raises(DamagedFileError, match="dynvision make"):
        dva.images(tree)


def test_what_is_no_tree_of_responses_is_an_error(made_root: Path) -> None:
    with pytest.raises(ConfigError, match="images takes the responses as load gives them"):
        dva.images(dva.load(KEY, root=made_root)["V1"]["mean"])  # type: ignore[arg-type]
