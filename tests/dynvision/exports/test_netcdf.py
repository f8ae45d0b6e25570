"""A netCDF file of responses, read by xarray alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray

from dynvision.errors import UnknownNameError
from dynvision.exports.formats import choose_layers
from tests.helpers.exports import LEVELS, NAMES, draw_layers, export


def test_every_value_is_read_back_by_xarray_alone(responses, tmp_path):
    path = export(responses, tmp_path / "out.nc")
    for layer in responses.attrs["layers"]:
        node = xarray.open_dataset(path, engine="h5netcdf", group=layer)
        assert node["contrast"].values.tolist() == LEVELS
        for level in LEVELS:
            for name, (_, values) in draw_layers(level)[layer].items():
                np.testing.assert_array_equal(node[name].sel(contrast=level), values)
        np.testing.assert_allclose(node["mean"], responses[layer]["mean"], rtol=1e-6)
    root = xarray.open_dataset(path, engine="h5netcdf")
    np.testing.assert_array_equal(root["scores"], responses["scores"])


@pytest.mark.slow
def test_whole_tree_is_the_same_as_what_was_loaded(responses, tmp_path):
    again = xarray.open_datatree(export(responses, tmp_path / "out.nc"), engine="h5netcdf")
    assert {node.path for node in again.subtree} == {node.path for node in responses.subtree}
    for node in responses.subtree:
        xarray.testing.assert_equal(again[node.path].to_dataset().load(), node.to_dataset().load())


@pytest.mark.slow
def test_labels_names_and_units_are_in_each_group(responses, tmp_path):
    path = export(responses, tmp_path / "out.nc")
    for group in ("V1", "V2.0", "rest", None):
        node = xarray.open_dataset(path, engine="h5netcdf", group=group)
        assert node["label_name"].values.tolist() == [NAMES[k] for k in node["label"].values]
        assert node["time_ms"].attrs["units"] == "ms"
        assert all(v.attrs["long_name"] for v in node.variables.values())
    means = xarray.open_dataset(path, engine="h5netcdf", group="V1")["mean"].groupby("label_name").mean()
    assert means.sizes["label_name"] == 3


def test_attributes_that_netcdf_cannot_hold_are_json(responses, tmp_path):
    responses.attrs |= {"nested": {"a": [1, None]}, "nothing": None, "yes": True, "empty": [], "mixed": [1, "a"]}
    responses["V1"].attrs["nested"] = {"b": 1}
    responses["V1"]["mean"].attrs["flag"] = False
    path = export(responses, tmp_path / "out.nc", attributes={"data_versions": {"contrast=0.25": "abc"}})
    attributes = xarray.open_dataset(path, engine="h5netcdf").attrs
    read = {name: json.loads(attributes[name]) for name in ("nested", "nothing", "yes", "empty", "mixed")}
    assert read == {"nested": {"a": [1, None]}, "nothing": None, "yes": True, "empty": [], "mixed": [1, "a"]}
    assert json.loads(attributes["data_versions"]) == {"contrast=0.25": "abc"}
    assert json.loads(attributes["layers"]) == ["V1", "V2.0", "classifier"]
    layer = xarray.open_dataset(path, engine="h5netcdf", group="V1")
    assert json.loads(layer.attrs["nested"]) == {"b": 1}


def test_chosen_layers_are_exported_with_their_resting_activity(responses, tmp_path):
    path = export(choose_layers(responses, ["V1"]), tmp_path / "out.nc")
    tree = xarray.open_datatree(path, engine="h5netcdf")
    assert {*tree.children} == {"V1", "rest", "single"}
    assert [*tree["rest"].data_vars] == ["V1"]
    assert json.loads(tree.attrs["layers"]) == ["V1"]
    with pytest.raises(UnknownNameError, match=r"unknown layer 'V3'\. Did you mean 'V"):
        choose_layers(responses, ["V1", "V3"])


@pytest.mark.slow
def test_what_load_gives_can_be_written_by_xarray_itself(responses, tmp_path):
    responses.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    again = xarray.open_datatree(tmp_path / "own.nc", engine="h5netcdf")
    np.testing.assert_array_equal(again["V2.0"]["response"], responses["V2.0"]["response"])
    np.testing.assert_array_equal(again["V1"]["mean"], responses["V1"]["mean"])


@pytest.mark.slow
def test_what_load_gives_is_written_by_xarray_alone_and_read_back_the_same(responses, tmp_path):
    columns = {"category": np.array(["a", "b", "", "", "a"], dtype=object), "is_new": np.arange(5) % 2 == 0}
    responses.dataset = responses.to_dataset().assign_coords({name: ("sample", v) for name, v in columns.items()})
    responses.to_netcdf(tmp_path / "own.nc")  # the engine that there is
    again = xarray.open_datatree(tmp_path / "own.nc")
    for node in responses.subtree:
        read = again[node.path].to_dataset().load()
        xarray.testing.assert_equal(node.to_dataset().load(), read)
        for name, value in node.attrs.items():
            np.testing.assert_array_equal(again[node.path].attrs[name], value)
        for name, variable in node.variables.items():
            assert read[name].attrs == variable.attrs
            kinds = {np.asarray(values).dtype.kind.replace("U", "O") for values in (variable, read[name])}
            assert len(kinds) == 1, name
