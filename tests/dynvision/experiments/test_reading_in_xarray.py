"""Results in xarray: grouping, masking and selecting by labels, also where conditions are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import pytest
import xarray

from dynvision.errors import DamagedFileError
from dynvision.experiments.reading import combine_conditions, open_store
from dynvision.system.checked_files import CheckedFiles
from tests.helpers.files import flip_byte
from tests.helpers.stores import CHANNEL, SPATIAL, TOKEN, UNIT, write_store

N, T, C = 6, 4, 3
LEVELS = [0.1, 0.5, 1.0]
LABELS = np.array([0, 1, 2, 0, 1, 2])
SECOND = np.array([1, 2, 0, 2, 0, 1])


def values_at(level: float) -> np.ndarray:
    return np.random.default_rng(int(level * 10)).random((N, T, C), dtype=np.float32)


def write_condition(folder: Path, level: float, **settings: Any) -> Path:
    return write_store(
        folder / f"contrast={level}.zarr",
        {"V1": {"response": (CHANNEL, values_at(level))}},
        np.ones((N, T, 3), np.float32),
        LABELS,
        [0, 1, 2],
        time=np.arange(T),
        **settings,
    )


@pytest.fixture
def stores(tmp_path: Path) -> list[tuple[dict[str, Any], Path]]:
    return [({"contrast": level}, write_condition(tmp_path, level)) for level in LEVELS]


@pytest.mark.parametrize("existing", [[0], [0, 1, 2], [0, 2]], ids=["one condition", "all", "one missing"])
def test_responses_are_grouped_and_masked_by_label(stores, existing):
    levels = {"contrast": LEVELS if len(existing) > 1 else LEVELS[:1]}
    tree = combine_conditions([stores[i] for i in existing], levels)
    response = tree["V1"]["response"]
    assert isinstance(response.data, dask.array.Array)
    means = response.groupby("label").mean("sample")
    first = response.where(response["label"] == 0, drop=True)
    by_root = response.where(tree["label"] == 0, drop=True)
    for level in [LEVELS[i] for i in existing]:
        wanted = values_at(level)
        for label in range(3):
            of_label = wanted[label == LABELS].mean(axis=0)
            np.testing.assert_allclose(means.sel(contrast=level, label=label), of_label, rtol=1e-6)
        np.testing.assert_array_equal(first.sel(contrast=level), wanted[LABELS == 0])
    assert first.sizes["sample"] == 2
    xarray.testing.assert_identical(first.load(), by_root.load())
    chosen = response[:, tree["label"] != 1].sel(contrast=LEVELS[existing[0]])
    np.testing.assert_array_equal(chosen, values_at(LEVELS[existing[0]])[LABELS != 1])


def test_every_node_is_grouped_and_masked(stores):
    tree = combine_conditions(stores, {"contrast": LEVELS})
    assert {"/", "/V1", "/rest", "/single"} == {node.path for node in tree.subtree}
    for node in tree.subtree:
        for name, variable in node.data_vars.items():
            assert variable.groupby("label").mean().sizes["label"] == 3, (node.path, name)
            assert variable.where(node["label"] == 1, drop=True).sizes["sample"] == 2, (node.path, name)
            assert variable.where((node["label"] > 0) & (node["time"] > 1), drop=True).sizes["time"] == 2
    whole = tree["V1"].to_dataset().groupby("label").mean()
    assert whole["response"].sizes["label"] == 3


def test_coordinates_are_in_memory_and_responses_are_not(stores):
    for tree in (open_store(stores[0][1]), combine_conditions(stores, {"contrast": LEVELS})):
        for node in tree.subtree:
            lazy = {name for name, values in node.coords.items() if isinstance(values.data, dask.array.Array)}
            assert lazy == set(), node.path
            assert all(isinstance(v.data, dask.array.Array) for n, v in node.data_vars.items() if "shown" not in n)


def test_trials_of_several_images_are_grouped_by_the_class_of_each(tmp_path):
    both = np.stack([LABELS, SECOND], axis=1)
    stores = [({"contrast": level}, write_condition(tmp_path, level, image_labels=both)) for level in LEVELS[:2]]
    tree = combine_conditions(stores, {"contrast": LEVELS[:2]})
    response, second = tree["V1"]["response"], tree["image_label"].isel(image=1)
    means = response.groupby(second.rename("second")).mean("sample")
    for label in range(3):
        wanted = values_at(0.1)[label == SECOND].mean(axis=0)
        np.testing.assert_allclose(means.sel(contrast=0.1, second=label), wanted, rtol=1e-6)
    chosen = response.where((second == 0) & (tree["label"] == 2), drop=True)
    np.testing.assert_array_equal(chosen.sel(contrast=0.1), values_at(0.1)[(SECOND == 0) & (LABELS == 2)])


def test_damaged_label_is_an_error_when_the_conditions_are_combined(stores):
    chunk = next(path for path in (stores[0][1] / "label/c").rglob("*") if path.is_file())
    flip_byte(chunk, 0)
    with pytest.raises(DamagedFileError, match=r"label.*is damaged"):
        combine_conditions(stores, {"contrast": LEVELS})


def test_same_coordinates_are_read_once_for_all_conditions(stores, monkeypatch):
    reads: list[str] = []
    check = CheckedFiles.check
    monkeypatch.setattr(CheckedFiles, "check", lambda files, name: (reads.append(name), check(files, name))[1])
    combine_conditions(stores, {"contrast": LEVELS})
    assert len([name for name in reads if name.startswith("label/c")]) == 1


def test_variables_of_the_same_name_in_two_layers_are_computed_together(tmp_path):
    layers = {name: {"mean": (CHANNEL, np.full((N, T, C), k, np.float32))} for k, name in enumerate(("V1", "V2"))}
    path = write_store(tmp_path / "contrast=1.0.zarr", layers, np.ones((N, T, 3), np.float32), LABELS, [0, 1, 2])
    for tree in (open_store(path), combine_conditions([({"contrast": 1.0}, path)], {"contrast": [1.0]})):
        first, second = dask.compute(tree["V1"]["mean"], tree["V2"]["mean"])
        assert (first == 0).all()
        assert (second == 1).all()


# Every layer has the same variables


@pytest.mark.slow
def test_mean_and_deviation_of_every_layer_are_there_whatever_was_stored(tmp_path):
    rng = np.random.default_rng(3)
    spatial, tokens = rng.random((N, T, C, 2, 4), np.float32), rng.random((N, T, C, 5), np.float32)
    flat, units, mean = rng.random((N, T, C), np.float32), rng.random((N, T, 7), np.float32), rng.random((N, T, C))
    layers = {
        "space": {"response": (SPATIAL, spatial)},
        "tokens": {"response": (TOKEN, tokens)},
        "classifier": {"response": (CHANNEL, flat)},
        "some": {"response": (UNIT, units)},
        "stored": {"mean": (CHANNEL, mean), "std": (CHANNEL, mean + 1)},
    }
    path = write_store(tmp_path / "a.zarr", layers, np.ones((N, T, 3), np.float32), LABELS, [0, 1, 2])
    tree = combine_conditions([({"contrast": 0.1}, path)], {"contrast": [0.1, 0.5]})
    wanted = {
        "space": (spatial.mean((3, 4)), spatial.std((3, 4))),
        "tokens": (tokens.mean(3), tokens.std(3)),
        "classifier": (flat, 0 * flat),
        "some": (units.mean(2), units.std(2)),
        "stored": (mean, mean + 1),
    }
    for layer in tree.attrs["layers"]:
        for name, values in zip(("mean", "std"), wanted[layer], strict=True):
            variable = tree[layer][name]
            assert isinstance(variable.data, dask.array.Array)
            assert variable.dims[:3] == ("contrast", "sample", "time")
            np.testing.assert_allclose(variable.sel(contrast=0.1), values, rtol=1e-5, atol=1e-6)
            assert np.isnan(variable.sel(contrast=0.5)).all()
    assert "response" not in tree["stored"]


# Names and units


def test_every_variable_and_coordinate_has_a_long_name_and_a_unit(stores):
    about = {"contrast": {"long_name": "contrast of the stimulus", "units": "1"}}
    tree = combine_conditions(stores, {"contrast": LEVELS}, class_names={0: "a", 1: "b", 2: "c"}, parameters=about)
    for node in tree.subtree:
        for name, variable in node.to_dataset().variables.items():
            assert variable.attrs["long_name"], (node.path, name)
            assert variable.dtype.kind == "O" or variable.attrs["units"] in ("1", "step", "ms"), (node.path, name)
    assert tree["contrast"].attrs == about["contrast"]
    assert tree["time"].attrs["long_name"] == "time from onset", "an axis has room for it"
    assert tree["time"].attrs["description"].startswith("end of the step, from the onset of the stimulus")
    assert tree["scores"]["class_name"].values.tolist() == ["a", "b", "c"]


def test_classes_have_their_names_in_every_node(tmp_path):
    both = np.stack([LABELS, SECOND], axis=1)
    path = write_condition(tmp_path, 0.1, image_labels=both)
    names = {0: "cat", 1: "dog"}
    tree = combine_conditions([({"contrast": 0.1}, path)], {"contrast": [0.1]}, class_names=names)
    assert tree["class_name"].values.tolist() == ["cat", "dog", ""]
    for node in tree.subtree:
        assert node["label_name"].values.tolist() == ["cat", "dog", "", "cat", "dog", ""]
    assert tree["image_label_name"].isel(image=1).values.tolist() == ["dog", "", "cat", "", "cat", "dog"]
    means = tree["V1"]["response"].groupby("label_name").mean("sample")
    assert means["label_name"].values.tolist() == ["", "cat", "dog"]
    assert tree["scores"].swap_dims({"class": "class_name"}).sel(class_name="dog").sizes["sample"] == N
