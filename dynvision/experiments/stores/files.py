"""The files of a response store: Zarr arrays through tensorstore, coordinates through xarray."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dynvision.experiments.stores.annotations import attributes_of
from dynvision.experiments.stores.layout import ArraySpec, StoreLayout

__all__ = ["create_array", "fill_variable", "open_array", "write_variables"]


@cache
def _context() -> Any:
    """Return what the arrays of this process share; nothing that was written is kept in memory."""
    import tensorstore

    return tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}, "file_io_sync": False})


def open_array(path: Path) -> Any:
    """Open an array with tensorstore, to read or to write.

    Raises:
        ValueError: If it is missing or damaged.
    """
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return tensorstore.open(spec, context=_context()).result()


def create_array(path: Path, layout: StoreLayout, spec: ArraySpec) -> None:
    """Make an empty array. A chunk holds a batch and a block of time; arrays over space are packed step by step.

    Args:
        path: A folder that does not exist.
        layout: The shape of the store.
        spec: The array.
    """
    import tensorstore

    rows, steps = min(layout.batch_size, layout.n_samples), min(layout.block_steps, layout.n_timesteps)
    packing: list[Any] = [{"name": "zstd", "configuration": {"level": 1, "checksum": False}}]
    inner: list[Any] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        *(packing if spec.is_packed else []),
        {"name": "crc32c"},
    ]
    codecs = inner
    if len(spec.trailing) > 1:
        one_step = [rows, 1, *spec.trailing]
        codecs = [{"name": "sharding_indexed", "configuration": {"chunk_shape": one_step, "codecs": inner}}]
    metadata = {
        "shape": [layout.n_samples, layout.n_timesteps, *spec.trailing],
        "data_type": spec.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [rows, steps, *spec.trailing]}},
        "codecs": codecs,
        "fill_value": "NaN" if spec.dtype.startswith("float") else -1,
        "dimension_names": ["sample", "time", *spec.dims],
        "attributes": {"units": "1", **attributes_of(path.name, {"long_name": spec.about} if spec.about else {})},
    }
    store = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata, "create": True}
    tensorstore.open(store, context=_context()).result()


def fill_variable(path: Path, values: npt.NDArray[Any]) -> None:
    """Replace the values of a variable that `write_variables` wrote; their shape stays."""
    import zarr

    zarr.open_array(str(path), mode="r+")[...] = values


def write_variables(folder: Path, variables: Mapping[str, tuple[Any, ...]], attributes: Mapping[str, Any]) -> None:
    """Write a group with coordinates and attributes, but without arrays; it replaces the contents of the folder.

    Args:
        folder: The folder of the group.
        variables: As xarray takes them: name → (dimensions, values, attributes).
        attributes: Of the group.
    """
    import xarray
    import zarr.codecs

    dataset = xarray.Dataset(coords=dict(variables), attrs=dict(attributes))
    for name, variable in dataset.variables.items():
        variable.attrs = attributes_of(str(name), variable.attrs)
    # With checksums in the store a flipped byte in a label is an error when it is read, not another number.
    checked = {"compressors": (zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec())}
    encoding = {str(name): checked for name in dataset.variables}
    dataset.to_zarr(folder, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
