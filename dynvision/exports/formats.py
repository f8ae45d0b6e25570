"""The formats of exports, and choosing what is exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import unknown_name
from dynvision.exports.files import EXPORTED_FROM, written_whole

if TYPE_CHECKING:
    import xarray

__all__ = ["SUFFIXES", "check_format", "choose_layers", "write_export"]

SUFFIXES: Mapping[str, str] = {"netcdf": ".nc", "brainio": ".brainio.nc"}
"""The formats, and how the names of their files end."""


def check_format(name: str) -> str:
    """Return the name of a format.

    Raises:
        UnknownNameError: If there is no such format; the message names the nearest.
    """
    if name not in SUFFIXES:
        raise unknown_name("format", name, SUFFIXES)
    return name


def choose_layers(tree: xarray.DataTree, layers: Sequence[str]) -> xarray.DataTree:
    """Return responses with some of their layers only; the root and its scores stay.

    Args:
        tree: The responses.
        layers: The layers; without any, all of them.

    Raises:
        UnknownNameError: If there is no such layer; the message names the nearest.
    """
    import xarray

    recorded = list(tree.attrs["layers"])
    for name in layers:
        if name not in recorded:
            raise unknown_name("layer", name, recorded)
    if not layers:
        return tree
    kept = [name for name in recorded if name in layers]
    nodes = {"/": tree.to_dataset().assign_attrs(layers=kept)}
    for name, node in tree.children.items():
        dataset = node.to_dataset(inherit=False)
        if name in kept:
            nodes[f"/{name}"] = dataset
        elif name not in recorded:  # the runs that conditions are compared with, which have a variable for each layer
            nodes[f"/{name}"] = dataset[[layer for layer in kept if layer in dataset]]
    return xarray.DataTree.from_dict(nodes)


def write_export(
    tree: xarray.DataTree,
    path: Path,
    form: str,
    target: str,
    *,
    conditions: Sequence[Mapping[str, Any]],
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> Path:
    """Write responses to a file, whole or not at all.

    Args:
        tree: The responses, lazy.
        path: The file.
        form: One of `SUFFIXES`.
        target: What is exported.
        conditions: The conditions that exist, by the level of each swept parameter.
        attributes: What the file says of itself besides.
        overwrite: Replace also a file that is something else.

    Returns:
        The file.

    Raises:
        UnknownNameError: If there is no such format.
        ConfigError: If a file that is something else is in its place.
        DynvisionError: If there is not enough room.
    """
    from dynvision.exports.brainio import write_assembly
    from dynvision.exports.netcdf import write_netcdf

    origin = f"{target} as {check_format(form)}"
    said = {**attributes, EXPORTED_FROM: origin}
    with written_whole(path, origin, overwrite=overwrite) as temporary:
        if form == "brainio":
            write_assembly(tree, temporary, said, conditions)
        else:
            write_netcdf(tree, temporary, said)
    return path
