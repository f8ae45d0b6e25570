from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pandas as pd
import pytest

import dynvision_assets as dva
from dynvision.errors import ConfigError, UnknownNameError
from tests.helpers.making import CONTRASTS, stored


def test_raw_is_an_image_folder_of_a_split(made_root: Path) -> None:
    images = dva.load("raw/gratings", split="test", root=made_root)
    assert len(images) == 12
    assert images.targets == [label for label in range(3) for _ in range(4)]
    assert images[0][0].size == (32, 32)


def test_interim_is_a_dataset_with_labels_in_the_datasets_own_order(made_root: Path) -> None:
    images = dva.load("interim/gratings", split="test", group="ends", root=made_root)
    assert len(images) == 8
    assert images.targets == [0] * 4 + [2] * 4
    assert images.group_targets == [0] * 4 + [1] * 4
    raw = dva.load("raw/gratings", split="test", root=made_root)
    np.testing.assert_array_equal(np.asarray(images[5][0]), np.asarray(raw[9][0]))


def test_processed_is_a_checked_file_with_its_sidecar(made_root: Path) -> None:
    found = dva.load("processed/gratings", split="train", group="all", file="val", root=made_root)
    assert found.path == made_root / "data/processed/gratings/train_all/val.beton"
    assert found.sidecar["file"]["samples"] == 9
    assert found.normalize == ([0.5] * 3, [0.29] * 3)
    assert dva.load("processed/gratings:train_all", root=made_root).path.name == "train.beton"
    assert dva.load("processed/gratings", split="test", root=made_root).path.name == "test.beton"


def test_a_processed_file_opens_as_a_loader_of_normalized_stimuli(made_root: Path) -> None:
    found = dva.load("processed/gratings", split="test", group="all", root=made_root)
    batches = list(found.loader(batch_size=5, dataloader="StimulusDuration", tsteps=3, stim=2))
    assert [tuple(images.shape) for images, _ in batches] == [(5, 3, 3, 32, 32), (5, 3, 3, 32, 32), (2, 3, 3, 32, 32)]
    raw = dva.load("raw/gratings", split="test", root=made_root)
    first = (np.asarray(raw[0][0], dtype=np.float32).transpose(2, 0, 1) / 255 - 0.5) / 0.29
    np.testing.assert_allclose(batches[0][0][0, 0].numpy(), first, atol=1e-5)
    assert batches[0][1][0].tolist() == [0, 0, -1]


def test_models_is_the_trained_network_in_evaluation_mode(made_root: Path) -> None:
    from safetensors.torch import load_file

    network = dva.load("models/rcnn/gratings", group="all", seed=0, root=made_root)
    assert not network.training
    weights = load_file(made_root / "data/models/rcnn/gratings/all_s0/trained.safetensors")
    before = load_file(made_root / "data/models/rcnn/gratings/all_s0/init.safetensors")
    state = network.state_dict()
    assert set(weights) <= set(state)
    assert all(bool((state[name] == value).all()) for name, value in weights.items())
    assert any(not bool((before[name] == value).all()) for name, value in weights.items()), "nothing was trained"


def test_responses_of_one_sweep_have_its_parameter_as_the_first_dimension(made_root: Path) -> None:
    tree = dva.load("responses/contrast/rcnn_gratings", root=made_root)
    assert sorted(tree.children) == ["IT", "V1", "classifier", "rest"]
    assert tree["V1"]["mean"].dims == ("contrast", "sample", "time", "channel")
    assert tree["V1"]["mean"].shape == (4, 12, 6, 4)
    assert tree["classifier"]["response"].dims == ("contrast", "sample", "time", "channel")
    assert tree["scores"].dims == ("contrast", "sample", "time", "class")
    assert tree["contrast"].values.tolist() == CONTRASTS
    assert tree["label"].values.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_responses_of_a_grid_have_its_parameters_first_in_the_order_of_the_experiment(made_root: Path) -> None:
    tree = dva.load("responses/contrast_duration/rcnn_gratings", root=made_root)
    assert tree["V1"]["mean"].dims == ("duration", "contrast", "sample", "time", "channel")
    assert tree["V1"]["mean"].shape == (2, 3, 12, 5, 4)
    assert tree["duration"].values.tolist() == [1, 3]
    assert tree["contrast"].values.tolist() == [0.1, 0.5, 1.0]


@pytest.mark.parametrize("name", ["V1/mean", "V1/std", "IT/mean", "classifier/response", "scores"])
def test_responses_are_lazy_and_equal_to_the_stores(made_root: Path, name: str) -> None:
    sweep = dva.load("responses/contrast/rcnn_gratings", root=made_root)[name]
    assert isinstance(sweep.data, dask.array.Array)
    for level in CONTRASTS:
        values = stored(made_root, "contrast", f"contrast={level}", name)
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(sweep.sel(contrast=level).values, values)
    grid = dva.load("responses/contrast_duration/rcnn_gratings", root=made_root)[name]
    assert isinstance(grid.data, dask.array.Array)
    for duration in (1, 3):
        values = stored(made_root, "contrast_duration", f"duration={duration},contrast=0.5", name)
        np.testing.assert_array_equal(grid.sel(contrast=0.5, duration=duration).values, values)


def test_responses_differ_between_contrasts(made_root: Path) -> None:
    response = dva.load("responses/contrast/rcnn_gratings", root=made_root)["V1"]["std"]
    assert not np.array_equal(response.sel(contrast=0.1).values, response.sel(contrast=1.0).values)


def test_levels_choose_conditions(made_root: Path) -> None:
    one = dva.load("responses/contrast/rcnn_gratings", contrast=0.5, root=made_root)
    assert one["contrast"].values.tolist() == [0.5]
    same = dva.load("responses/contrast/rcnn_gratings:0.5", root=made_root)
    np.testing.assert_array_equal(one["IT"]["mean"].values, same["IT"]["mean"].values)
    row = dva.load("responses/contrast_duration/rcnn_gratings", duration=3, root=made_root)
    assert row["V1"]["mean"].sizes["duration"] == 1
    assert row["V1"]["mean"].sizes["contrast"] == 3


@pytest.mark.parametrize("levels", [[1.0, 0.5], slice(0.4, 1.0), np.array([0.5, 0.8, 1.0])])
def test_several_levels_choose_conditions(made_root: Path, levels: Any) -> None:
    tree = dva.load("responses/contrast/rcnn_gratings", contrast=levels, root=made_root)
    wanted = [0.5, 1.0] if isinstance(levels, list) else [0.5, 0.8, 1.0]
    assert tree["contrast"].values.tolist() == wanted
    np.testing.assert_array_equal(
        tree["V1"]["mean"].sel(contrast=1.0), stored(made_root, "contrast", "contrast=1.0", "V1/mean")
    )
    with pytest.raises(ConfigError, match=r"has [23] partitions; say which"):
        dva.path("responses/contrast/rcnn_gratings", contrast=levels, root=made_root)


def test_unknown_level_among_several_names_the_nearest(made_root: Path) -> None:
    with pytest.raises(UnknownNameError, match=re.escape("unknown level of 'contrast' '0.45'. Did you mean '0.5'?")):
        dva.load("responses/contrast/rcnn_gratings", contrast=[0.1, 0.45], root=made_root)


def test_every_layer_has_the_same_variables(made_root: Path) -> None:
    tree = dva.load("responses/contrast/rcnn_gratings", root=made_root)
    for layer in tree.attrs["layers"]:
        assert tree[layer]["mean"].dims == tree[layer]["std"].dims == ("contrast", "sample", "time", "channel")
    np.testing.assert_array_equal(tree["classifier"]["mean"], tree["classifier"]["response"])


def test_responses_are_grouped_by_every_coordinate_of_the_trials(made_root: Path) -> None:
    response = dva.load("responses/contrast/rcnn_gratings", root=made_root)["V1"]["mean"]
    labels = response["label"].values
    wanted = np.stack([response.values[:, labels == label].mean(axis=1) for label in range(3)], axis=1)
    np.testing.assert_allclose(response.groupby("label").mean("sample").values, wanted, rtol=1e-6)
    np.testing.assert_array_equal(response.where(response["label"] == 1, drop=True), response[:, labels == 1])
    by_source = response.groupby("source").first()
    assert by_source["source"].values.tolist() == sorted(response["source"].values.tolist())
    assert response["source"].dtype == object


def test_summary_is_a_tidy_table(made_root: Path) -> None:
    table = dva.load("summary/contrast/rcnn_gratings", root=made_root)
    assert {"condition", "contrast", "time", "layer", "measure", "value"} <= set(table.columns)
    assert sorted(table["contrast"].unique()) == CONTRASTS
    csv = pd.read_csv(made_root / "data/reports/contrast/rcnn_gratings/table.csv")
    np.testing.assert_allclose(table["value"].to_numpy(), csv["value"].to_numpy())
    means = table.query("contrast == 0.5 and layer == 'V1' and measure == 'mean'").sort_values("time")["value"]
    wanted = stored(made_root, "contrast", "contrast=0.5", "V1/mean").mean(axis=(0, 2), dtype=np.float64)
    np.testing.assert_allclose(means.to_numpy(), wanted, rtol=1e-5)


def test_path_says_where_a_target_is(made_root: Path) -> None:
    store = made_root / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr"
    assert dva.path("responses/contrast/rcnn_gratings", contrast=0.5, root=made_root) == store
    assert dva.path("interim/gratings", split="train", group="ends", root=made_root).name == "train_ends"
    assert dva.path("summary/contrast/rcnn_ends", root=made_root) == made_root / "data/reports/contrast/rcnn_ends"


def test_the_root_is_found_through_the_environment(made_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNVISION_ROOT", str(made_root))
    assert len(dva.load("raw/gratings", split="train")) == 36


def test_a_loaded_beton_says_in_one_line_what_it_is(made_root: Path) -> None:
    loaded = dva.load("processed/gratings", split="test", group="all", file="test", root=made_root)
    assert repr(loaded) == f"<ProcessedFile {loaded.path}: 12 images of 3 × 32 × 32 pixels>"
