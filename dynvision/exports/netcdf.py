"""Responses as netCDF: a group for each layer, as `dva.load` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask
import xarray
from dask.callbacks import Callback

from dynvision.exports.files import ExportFile, check_room
from dynvision.exports.values import store_attributes, store_texts

__all__ = ["write_netcdf"]

_SPACE = frozenset({"y", "x", "token"})
"""Dimensions of variables that are compressed; those without are hardly made smaller."""


def write_netcdf(tree: xarray.DataTree, file: ExportFile, attributes: Mapping[str, Any]) -> None:
    """Write responses chunk by chunk, so that no more than one chunk of them is in memory.

    Args:
        tree: The responses, lazy.
        file: An empty file.
        attributes: Of the file, besides those of the responses.

    Raises:
        DynvisionError: If there is not enough room.
        OSError: If it cannot be written.
    """
    nodes = {node.path: _storable(node.to_dataset()) for node in tree.subtree}
    nodes["/"].attrs |= store_attributes(attributes)
    encoding = {group: _encodings(node) for group, node in nodes.items()}
    plain = [v for group, node in nodes.items() for name, v in node.data_vars.items() if name not in encoding[group]]
    check_room(file.path, sum(variable.nbytes for variable in plain))
    # Threads would each hold a chunk while one of them writes. After a failure there is no next chunk.
    stopping = Callback(pretask=lambda *_: file.check())  # type: ignore[no-untyped-call]
    with dask.config.set(scheduler="synchronous"), stopping:
        xarray.DataTree.from_dict(nodes).to_netcdf(
            file, engine="h5netcdf", encoding=encoding, write_inherited_coords=True
        )


def _storable(node: xarray.Dataset) -> xarray.Dataset:
    """Return a node whose attributes netCDF can hold; the encoding of the store that it was read from is forgotten."""
    node = node.drop_encoding()
    node.attrs = store_attributes(node.attrs)
    for variable in node.variables.values():
        variable.attrs = store_attributes(variable.attrs)
    texts = {
        name: (values.dims, store_texts(values.values), values.attrs)
        for name, values in node.coords.items()
        if values.dtype.kind == "O" and name not in node.indexes
    }
    spaced = {name: str(name).replace(" ", "_") for name in node.variables if " " in str(name)}
    return node.assign_coords(texts).rename(spaced)  # A name with a space cannot be that of a coordinate.


def _encodings(node: xarray.Dataset) -> dict[str, dict[str, Any]]:
    encodings = {}
    for name, variable in node.data_vars.items():
        if _SPACE & {*map(str, variable.dims)} and variable.chunks is not None:
            sizes = tuple(lengths[0] for lengths in variable.chunks)
            encodings[str(name)] = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": sizes}
    return encodings
