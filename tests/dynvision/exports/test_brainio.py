"""An assembly in the shape of BrainIO, read by xarray alone."""

from __future__ import annotations

import numpy as np
import pytest
import xarray

from tests.helpers.exports import CONDITIONS, LABELS, LEVELS, NAMES, N, T, draw_layers, export, make_responses

SECOND = np.array([2, 0, 1, 1, 0])


def read(tree, path, **settings) -> xarray.DataArray:
    return xarray.open_dataarray(export(tree, path, "brainio", **settings), engine="h5netcdf").load()


def test_every_value_is_at_its_presentation_neuroid_and_time(responses, tmp_path):
    assembly = read(responses, tmp_path / "out.nc")
    assert assembly.dims == ("presentation", "neuroid", "time_bin")
    assert assembly.shape == (len(LEVELS) * N, 3 + 24 + 3, T)
    for level in LEVELS:
        layers = draw_layers(level)
        for layer, name in (("V1", "mean"), ("V2.0", "response"), ("classifier", "response")):
            values = layers[layer][name][1].reshape(N, T, -1).transpose(0, 2, 1)
            part = assembly[(assembly["contrast"] == level).values, (assembly["region"] == layer).values]
            np.testing.assert_array_equal(part, values)
    unit = assembly[:, (assembly["neuroid_id"] == "V2.0.1.2.3").values]
    assert unit["channel"].item(), unit["y"].item() == (1, 2)
    np.testing.assert_array_equal(unit[:N, 0], draw_layers(0.25)["V2.0"]["response"][1][:, :, 1, 2, 3])


def test_presentations_have_the_levels_and_whatever_samples_have(responses, tmp_path):
    columns = {"stimulus_id": [f"im{k}" for k in range(N)], "category": list("abcab"), "size": LABELS}
    added = {name: ("sample", values) for name, values in columns.items()}
    responses.dataset = responses.to_dataset().assign_coords(added)
    assembly = read(responses, tmp_path / "out.nc")
    assert assembly["contrast"].values.tolist() == [level for level in LEVELS for _ in range(N)]
    assert assembly["stimulus_id"].values.tolist() == [f"im{k}" for k in range(N)] * 2
    assert assembly["category"].values.tolist() == list("abcab") * 2
    assert assembly["size"].values.tolist() == LABELS.tolist() * 2
    assert assembly["image_label"].values.tolist() == [NAMES[k] for k in LABELS] * 2
    assert assembly["label"].values.tolist() == LABELS.tolist() * 2
    assert len({*assembly["neuroid_id"].values}) == assembly.sizes["neuroid"]
    means = assembly.groupby("category").mean()
    np.testing.assert_allclose(means.sel(category="c"), assembly[[2, 2 + N]].mean("presentation"), rtol=1e-6)


def test_time_bins_are_in_ms_where_a_step_has_a_duration(responses, tmp_path):
    assembly = read(responses, tmp_path / "out.nc")
    assert assembly["time_bin_end"].values.tolist() == [0, 5, 10, 15]
    assert assembly["time_bin_start"].values.tolist() == [-5, 0, 5, 10]
    assert assembly["time_bin_start"].attrs["units"] == "ms"


def test_time_bins_are_in_steps_otherwise(tmp_path):
    assembly = read(make_responses(tmp_path / "stores", dt=None), tmp_path / "out.nc")
    assert assembly["time_bin_end"].values.tolist() == [0, 1, 2, 3]
    assert assembly["time_bin_start"].values.tolist() == [-1, 0, 1, 2]
    assert assembly["time_bin_start"].attrs["units"] == "step"


@pytest.mark.slow
def test_each_image_of_a_trial_has_its_class(tmp_path):
    tree = make_responses(tmp_path / "stores", image_labels=np.stack([LABELS, SECOND], axis=1))
    assembly = read(tree, tmp_path / "out.nc")
    assert assembly["image_label_0"].values.tolist() == LABELS.tolist() * 2
    assert assembly["image_label_1"].values.tolist() == SECOND.tolist() * 2
    assert assembly["image_label_name_1"].values.tolist() == [NAMES[k] for k in SECOND] * 2


def test_only_conditions_that_exist_become_presentations(responses, tmp_path):
    assembly = read(responses, tmp_path / "out.nc", conditions=CONDITIONS[1:])
    assert assembly.sizes["presentation"] == N
    np.testing.assert_array_equal(assembly[:, :3], draw_layers(1.0)["V1"]["mean"][1].transpose(0, 2, 1))


@pytest.mark.slow
def test_values_do_not_depend_on_the_blocks(responses, tmp_path, monkeypatch):
    whole = read(responses, tmp_path / "whole.nc")
    monkeypatch.setattr("dynvision.exports.brainio._BLOCK_BYTES", 1)
    monkeypatch.setattr("dynvision.exports.brainio._CHUNK_BYTES", 1)
    xarray.testing.assert_identical(read(responses, tmp_path / "parts.nc"), whole)
