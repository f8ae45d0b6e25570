"""Responses as an assembly in the shape of BrainIO: presentation × neuroid × time bin, in one netCDF variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

from dynvision.experiments.reading import read_step_duration
from dynvision.experiments.stores.annotations import attributes_of
from dynvision.exports.files import ExportFile, check_room
from dynvision.exports.values import store_attributes, store_texts

__all__ = ["ASSEMBLY", "describe_presentations", "write_assembly"]

ASSEMBLY = "responses"
"""The name of the assembly's variable."""

DIMENSIONS = ("presentation", "neuroid", "time_bin")

_BLOCK_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_POSITIONS = ("channel", "token", "y", "x")

Levels = Mapping[str, Any]
Columns = dict[str, npt.NDArray[Any]]


def write_assembly(
    tree: xarray.DataTree, file: ExportFile, attributes: Mapping[str, Any], conditions: Sequence[Levels]
) -> None:
    """Write responses block by block, so that no more than a block of them is in memory.

    The coordinates are those of `describe_presentations`; `neuroid_id`, `region` (the layer), and the position of each
    neuroid in its layer, -1 where it has none; and `time_bin_start` and `time_bin_end`, in ms if a step has a duration,
    otherwise in steps. A neuroid is a unit or, where only means were recorded, a channel or a layer.

    Args:
        tree: The responses, lazy.
        file: An empty file.
        attributes: Of the file, besides those of the responses.
        conditions: The conditions that become presentations, by the level of each swept parameter.

    Raises:
        DynvisionError: If there is not enough room.
        OSError: If it cannot be written.
    """
    import h5netcdf

    root = tree.to_dataset()
    layers = {name: _responses_of(tree.children[name].to_dataset()) for name in root.attrs["layers"]}
    presentations, neuroids = describe_presentations(root, conditions), _describe_neuroids(layers)
    bins = _describe_bins(root)
    taken = {*neuroids, *bins[0], *DIMENSIONS, ASSEMBLY}
    presentations = {f"presentation_{n}" if n in taken else n: column for n, column in presentations.items()}
    coordinates = {
        name: (dimension, values, attributes_of(name, units))
        for dimension, columns, units in zip(
            DIMENSIONS, (presentations, neuroids, bins[0]), ({}, {}, {"units": bins[1]}), strict=True
        )
        for name, values in columns.items()
    }
    assembly = xarray.Dataset(coords=coordinates, attrs=store_attributes({**root.attrs, **attributes}))
    shape = [assembly.sizes[dimension] for dimension in DIMENSIONS]
    check_room(file.path, 4 * int(np.prod(shape, dtype=np.int64)))
    assembly.to_netcdf(file, engine="h5netcdf")
    file.check()
    with h5netcdf.File(file, "a", rdcc_nbytes=_BLOCK_BYTES) as opened:
        chunks = _choose_chunks(shape, [_choose_block(layer)[1] for layer in layers.values()])
        variable = opened.create_variable(ASSEMBLY, DIMENSIONS, "f4", chunks=chunks, fillvalue=np.float32(np.nan))
        variable.attrs["coordinates"] = " ".join(map(str, assembly.coords))
        variable.attrs["long_name"] = "response of each neuroid"
        variable.attrs["units"] = "1"
        for rows, columns, steps, values in _read_blocks(layers, conditions):
            variable[rows, columns, steps] = values
            file.check()


def describe_presentations(root: xarray.Dataset, conditions: Sequence[Levels]) -> Columns:
    """Return the coordinates of presentations: every sample in every condition, condition after condition.

    Args:
        root: The root of the responses. Whatever it has for each sample becomes a coordinate of the same name, and
            what it has for each image of a trial becomes one for each, with its number at the end.
        conditions: The conditions.

    Returns:
        By name, each of shape `[conditions × samples]`: the level of each swept parameter, the coordinates of the
        samples, and besides, if they are not among these, `stimulus_id` (the image's file) and `image_label` (the name
        of its class).
    """
    n_samples = root.sizes["sample"]
    swept = {name: [levels[name] for levels in conditions] for name in conditions[0]}
    columns: Columns = {name: np.repeat(np.array(levels), n_samples) for name, levels in swept.items()}
    for name, variable in root.variables.items():
        trailing = tuple(map(str, variable.dims[-1:]))
        is_of_samples = "sample" in variable.dims and {*variable.dims} <= {*swept, "sample", "image"}
        if is_of_samples and trailing in (("sample",), ("image",)):
            whole = np.concatenate([root[name].sel(_levels_in(root[name], levels)).values for levels in conditions])
            parts = {f"{name}_{number}": column for number, column in enumerate(whole.T)} if whole.ndim > 1 else {}
            columns |= parts or {str(name): whole}
    columns = {name.replace(" ", "_"): store_texts(column) for name, column in columns.items()}
    columns.setdefault("sample", np.tile(np.arange(n_samples), len(conditions)))
    files = columns.get("source", columns["sample"])
    labels = columns.get("label_name", columns.get("label"))
    named = {"stimulus_id": files, **({} if labels is None else {"image_label": labels})}
    return columns | {name: _as_texts(values) for name, values in named.items() if name not in columns}


def _levels_in(variable: xarray.DataArray, levels: Levels) -> dict[str, Any]:
    return {name: level for name, level in levels.items() if name in variable.dims}


def _as_texts(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values if values.dtype.kind in "OU" else values.astype(str)


def _responses_of(layer: xarray.Dataset) -> xarray.DataArray:
    """Return what a layer's neuroids are: its units, or else the means that were recorded."""
    return layer["response"] if "response" in layer else layer["mean"]


def _trailing(variable: xarray.DataArray) -> list[str]:
    dimensions = [str(name) for name in variable.dims]
    return dimensions[dimensions.index("time") + 1 :]


def _count(variable: xarray.DataArray) -> int:
    return int(np.prod([variable.sizes[name] for name in _trailing(variable)], dtype=np.int64))


def _describe_neuroids(layers: Mapping[str, xarray.DataArray]) -> Columns:
    tables = []
    for name, variable in layers.items():
        trailing = _trailing(variable)
        shape = [variable.sizes[dimension] for dimension in trailing]
        table = {dimension: np.full(_count(variable), -1) for dimension in _POSITIONS}
        if trailing == ["unit"]:
            table |= {p: variable[p].values for p in _POSITIONS if p in variable.coords}
        elif trailing:
            table |= dict(zip(trailing, (index.ravel() for index in np.indices(shape)), strict=True))
        numbers = [table[p] for p in _POSITIONS if (table[p] >= 0).any()]
        ids = [".".join([name, *map(str, position)]) for position in zip(*numbers, strict=True)] or [name]
        columns = {"neuroid_id": np.array(ids, object), "region": np.full(len(ids), name, object), **table}
        tables.append({**columns, "layer": columns["region"]})
    together = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return {name: column for name, column in together.items() if name not in _POSITIONS or (column >= 0).any()}


def _describe_bins(root: xarray.Dataset) -> tuple[Columns, str]:
    """Return the coordinates of time bins, and their unit."""
    dt = read_step_duration(root)
    ends, width = (root["time"].values, 1) if dt is None else (root["time_ms"].values, dt)
    return {"time_bin_start": ends - width, "time_bin_end": ends}, "step" if dt is None else "ms"


def _choose_block(variable: xarray.DataArray) -> tuple[int, int]:
    """Return how many samples and steps are read at once: as many as a stored chunk has, more steps, more samples."""
    chunks = variable.variable.chunksizes
    rows, steps = (int(chunks[name][0]) if name in chunks else variable.sizes[name] for name in ("sample", "time"))
    row_bytes = 4 * _count(variable)
    steps = min(variable.sizes["time"], steps * max(1, _BLOCK_BYTES // max(1, steps * rows * row_bytes)))
    if steps == variable.sizes["time"]:
        rows *= max(1, _BLOCK_BYTES // max(1, steps * rows * row_bytes))
    return rows, steps


def _choose_chunks(shape: Sequence[int], steps: Sequence[int]) -> tuple[int, int, int]:
    """Return the chunks of the file, so that blocks fill whole ones along time."""
    columns, bins = min(shape[1], 256), min(steps)
    return max(1, min(shape[0], _CHUNK_BYTES // (4 * columns * bins))), columns, bins


def _read_blocks(
    layers: Mapping[str, xarray.DataArray], conditions: Sequence[Levels]
) -> Iterator[tuple[slice, slice, slice, npt.NDArray[np.float32]]]:
    """Yield blocks of the assembly, with their places in it."""
    n_presentations = 0
    for levels in conditions:
        n_neuroids = n_samples = 0
        for layer in layers.values():
            variable = layer.sel(_levels_in(layer, levels)).reset_coords(drop=True)
            rows, steps = _choose_block(variable)
            n_samples, count = variable.sizes["sample"], _count(variable)
            columns = slice(n_neuroids, n_neuroids + count)
            for first in range(0, n_samples, rows):
                for start in range(0, variable.sizes["time"], steps):
                    part = variable.isel(sample=slice(first, first + rows), time=slice(start, start + steps))
                    block = part.compute(scheduler="synchronous").values.reshape(*part.shape[:2], count)
                    place = slice(n_presentations + first, n_presentations + first + len(block))
                    yield place, columns, slice(start, start + block.shape[1]), block.transpose(0, 2, 1)
            n_neuroids += count
        n_presentations += n_samples
