"""Exports by Python and by the command line, read back by xarray alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray

import dynvision_assets as dva
from dynvision.errors import ConfigError, DamagedFileError, MissingError, UnknownNameError
from tests.helpers.commands import call_dynvision
from tests.helpers.files import flip_byte

KEY = "responses/contrast/rcnn_gratings"
EXPORTS = "data/exports/contrast"


@pytest.fixture
def root(chain: Path) -> Path:
    return chain


def test_export_is_what_load_gives(root: Path) -> None:
    (path,) = dva.export(KEY, root=root)
    assert path == root / EXPORTS / "rcnn_gratings.nc"
    tree = dva.load(KEY, root=root)
    for layer in tree.attrs["layers"]:
        node = xarray.open_dataset(path, engine="h5netcdf", group=layer)
        for name, values in tree[layer].data_vars.items():
            np.testing.assert_array_equal(node[name], values)
        assert node["label_name"].values.tolist() == tree["label_name"].values.tolist()
    attributes = xarray.open_dataset(path, engine="h5netcdf").attrs
    assert len(json.loads(attributes["data_versions"])) == 4
    assert attributes["exported_from"] == f"{KEY} as netcdf"


def test_assembly_of_chosen_levels_and_layers(root: Path) -> None:
    (path,) = dva.export(KEY, "brainio", contrast=[0.5, 1.0], layers=["V1"], root=root)
    assert path == root / EXPORTS / "rcnn_gratings/contrast=0.5+1.0.brainio.nc"
    assembly = xarray.open_dataarray(path, engine="h5netcdf")
    assert assembly.sizes == {"presentation": 24, "neuroid": 4, "time_bin": 6}
    wanted = dva.load(KEY, root=root)["V1"]["mean"]
    for number, level in enumerate((0.5, 1.0)):
        part = assembly[12 * number : 12 * number + 12]
        assert (part["contrast"] == level).all()
        np.testing.assert_array_equal(part, wanted.sel(contrast=level).transpose("sample", "channel", "time"))
    assert assembly["stimulus_id"].values[:12].tolist() == wanted["source"].values.tolist()
    assert (assembly["time_bin_end"] - assembly["time_bin_start"] == 5).all()


def test_one_file_for_each_condition(root: Path, tmp_path: Path) -> None:
    files = dva.export(KEY, path=tmp_path / "out", per_condition=True, contrast=[0.1, 0.5], root=root)
    assert [file.name for file in files] == ["contrast=0.1.nc", "contrast=0.5.nc"]
    tree = dva.load(KEY, root=root)
    for file, level in zip(files, (0.1, 0.5), strict=True):
        node = xarray.open_dataset(file, engine="h5netcdf", group="IT")
        np.testing.assert_array_equal(node["mean"].sel(contrast=level), tree["IT"]["mean"].sel(contrast=level))


def test_missing_conditions_are_left_out_if_that_is_allowed(root: Path) -> None:
    (root / "data" / KEY / "contrast=0.5.zarr").rename(root / "elsewhere")
    with pytest.raises(MissingError, match="Make it: dynvision make"):
        dva.export(KEY, "brainio", root=root)
    (path,) = dva.export(KEY, "brainio", allow_missing=True, root=root)
    assembly = xarray.open_dataarray(path, engine="h5netcdf")
    assert sorted({*assembly["contrast"].values}) == [0.1, 0.8, 1.0]
    assert np.isfinite(assembly).all()


def test_damaged_response_is_not_exported(root: Path) -> None:
    chunk = next(p for p in (root / "data" / KEY / "contrast=0.5.zarr/V1/mean/c").rglob("*") if p.is_file())
    flip_byte(chunk, 0)
    for form in ("netcdf", "brainio"):
        with pytest.raises(DamagedFileError, match="is damaged: its contents are not those that were written"):
            dva.export(KEY, form, root=root)
    assert [p for p in (root / EXPORTS).rglob("*") if p.is_file()] == []


def test_what_cannot_be_exported_is_an_error(made_root: Path) -> None:
    with pytest.raises(ConfigError, match="summary/contrast/rcnn_gratings is not exported: only responses are"):
        dva.export("summary/contrast/rcnn_gratings", root=made_root)
    with pytest.raises(UnknownNameError, match=r"unknown layer 'V2'\. Did you mean 'V1'\?"):
        dva.export(KEY, layers=["V2"], root=made_root)
    with pytest.raises(UnknownNameError, match=r"unknown format 'brainoi'\. Did you mean 'brainio'\?"):
        dva.export(KEY, "brainoi", root=made_root)


def test_command_exports_and_prints_the_files(root: Path, tmp_path: Path) -> None:
    done = call_dynvision(root, "export", f"{KEY}:0.5", "--layer", "IT", "--output", str(tmp_path / "out.nc"))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{tmp_path / 'out.nc'}  (0.")
    tree = xarray.open_datatree(tmp_path / "out.nc", engine="h5netcdf")
    assert {*tree.children} == {"IT", "rest"}
    again = call_dynvision(root, "export", KEY, "--format", "brainio", "--per-condition", "--json")
    assert [Path(entry["path"]).name for entry in json.loads(again.stdout)] == [
        f"contrast={level}.brainio.nc" for level in (0.1, 0.5, 0.8, 1.0)
    ]


def test_command_refuses_to_replace_another_file(root: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.nc").write_text("notes")
    arguments = ["export", f"{KEY}:0.5", "--output", str(tmp_path / "notes.nc")]
    refused = call_dynvision(root, *arguments)
    assert refused.exit_code == 2
    assert "notes.nc exists already, and is no export of" in refused.stderr
    assert (tmp_path / "notes.nc").read_text() == "notes"
    assert call_dynvision(root, *arguments, "--overwrite").exit_code == 0


def test_what_load_gives_is_written_by_xarray_itself(made_root: Path, tmp_path: Path) -> None:
    tree = dva.load(KEY, root=made_root)
    tree.to_netcdf(tmp_path / "own.nc", engine="h5netcdf")
    again = xarray.open_datatree(tmp_path / "own.nc", engine="h5netcdf")
    np.testing.assert_array_equal(again["V1"]["mean"], tree["V1"]["mean"])
    np.testing.assert_array_equal(again["IT"]["mean"], tree["IT"]["mean"])
    tree["V1"].to_dataset().to_netcdf(tmp_path / "layer.nc", engine="h5netcdf")
    assert xarray.open_dataset(tmp_path / "layer.nc", engine="h5netcdf")["mean"].equals(tree["V1"]["mean"])
