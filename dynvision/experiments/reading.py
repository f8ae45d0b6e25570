"""Reading responses: one store, or all conditions of an experiment as one lazy tree."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

from dynvision.errors import DamagedFileError, MissingError
from dynvision.experiments.stores.annotations import complete_layer, describe_variables, name_classes
from dynvision.experiments.stores.layout import IMAGE_CONTRAST, REFERENCES
from dynvision.experiments.stores.store import RECORD
from dynvision.paths import name_store
from dynvision.records import Record, read_record
from dynvision.system.checked_files import CheckedFiles

__all__ = ["combine_conditions", "open_root", "open_store", "read_step_duration", "read_store_record"]

KnownCoordinates = dict[tuple[Any, ...], xarray.Variable]
"""Coordinates that were read, by their names and the digests of their files."""


def read_store_record(path: Path) -> Record:
    """Read the record in a store.

    Raises:
        MissingError: If there is no store.
        DamagedFileError: If it is incomplete, or its record is not as written, or is that of another store.
    """
    if not path.is_dir():
        raise MissingError(f"{path} does not exist. Make it: dynvision make {path}")
    record = read_record(path / RECORD, name_store(path))
    if record is None:
        raise DamagedFileError(f"{path} is incomplete: it has no {RECORD}. Run it again: dynvision make --force {path}")
    return record


def open_store(path: Path) -> xarray.DataTree:
    """Open the responses of one condition: the root and one node for each layer.

    Coordinates are in memory, so that responses can be grouped and masked by them; everything else is lazy. The node
    `rest` has the mean of each layer, by its name, in the same trial with nothing shown, and `single` that with the
    first showing alone, if the condition shows several.

    Each file is compared with its digest in the record before it is read, also when values are computed later.

    Raises:
        MissingError: If there is no store.
        DamagedFileError: If it is incomplete, or a file is missing or not as written.
    """
    return xarray.DataTree.from_dict({f"/{name}": node for name, node in _open_nodes(path, {}).items()})


def open_root(folder: Path) -> xarray.Dataset:
    """Open the root of a store lazily: labels, times and the network's output. It need not be in place yet."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        return xarray.open_dataset(folder, engine="zarr", consolidated=False, chunks={})


def combine_conditions(
    stores: Iterable[tuple[Mapping[str, Any], Path]],
    levels: Mapping[str, list[Any]],
    *,
    class_names: Mapping[int, str] = MappingProxyType({}),
    parameters: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> xarray.DataTree:
    """Combine the stores of an experiment along its swept parameters, without reading their responses.

    Args:
        stores: For each condition the level of each parameter, and the store.
        levels: The levels of each parameter, in order; a parameter becomes a dimension.
        class_names: The name of each class, for stores that do not have them.
        parameters: The attributes of each parameter: `long_name` and `units`.

    Returns:
        One node for each layer, with the dimensions (parameters …, sample, time, …). The values of missing
        conditions are NaN, and so are those at times that a condition does not have, if the conditions differ in their
        onset. Every layer has the variables `mean` and `std`, see `complete_layer`, and every variable has a
        `long_name`.
    """
    nodes: dict[str, list[xarray.Dataset]] = {}
    times: list[npt.NDArray[np.int64]] = []
    known: KnownCoordinates = {}
    for condition, path in stores:
        opened = _open_nodes(path, known)
        time = opened[""]["time"]
        times.append(time.values)
        for name, node in opened.items():
            dataset = name_classes(node, class_names).assign_coords(time=("time", time.values, {**time.attrs}))
            of_condition = ["shown", "contrast_shown"]
            if "contrast_reference" in condition:  # it is around another grey in each condition
                of_condition.append(IMAGE_CONTRAST)
            varying = [key for key in of_condition if key in dataset.coords]
            dataset = dataset.reset_coords(varying).drop_vars([] if name == "" else varying)
            nodes.setdefault(name, []).append(dataset.expand_dims({key: [value] for key, value in condition.items()}))
    combined, all_times = {}, np.unique(np.concatenate(times))
    is_moved = any(len(time) < len(all_times) for time in times)
    for name, datasets in nodes.items():
        whole = xarray.combine_by_coords(
            _align_time(datasets, all_times, keeps_step=name == "") if is_moved else datasets,
            combine_attrs="drop_conflicts",
            join="outer",
            coords="minimal",
            compat="override",
            data_vars="all",
        )
        assert isinstance(whole, xarray.Dataset)
        whole = whole.reindex(dict(levels))
        is_layer = name and name not in REFERENCES
        combined[f"/{name}"] = describe_variables(complete_layer(whole) if is_layer else whole, name, parameters)
    return xarray.DataTree.from_dict(combined)


def read_step_duration(root: xarray.Dataset) -> float | None:
    """Return the duration of a step in ms from the root of a store; `None` if its network has no unit of time."""
    if "time_ms" not in root.coords or root.sizes["time"] < 2:
        return None
    return float(root["time_ms"][1] - root["time_ms"][0])


def _align_time(datasets: list[xarray.Dataset], whole: npt.NDArray[np.int64], keeps_step: bool) -> list[xarray.Dataset]:
    """Put conditions with different onsets on one axis of time.

    Args:
        datasets: One node of each condition.
        whole: The times of all conditions.
        keeps_step: Keep `step`, which is then another one in each condition, as a variable.
    """
    aligned = []
    for dataset in datasets:
        if "step" in dataset.coords:
            dataset = dataset.reset_coords("step") if keeps_step else dataset.drop_vars("step")
        moved = dataset.drop_vars("time_ms", errors="ignore").reindex(time=whole)
        dt = read_step_duration(dataset)
        if dt is not None:
            moved = moved.assign_coords(time_ms=("time", whole * dt, dataset["time_ms"].attrs))
        aligned.append(moved)
    return aligned


def _open_nodes(path: Path, known: KnownCoordinates) -> dict[str, xarray.Dataset]:
    """Open the nodes of a store by name, see `open_store`; the root has no name.

    Args:
        path: The store.
        known: The coordinates of stores that were opened before. One whose files have the same digests is not read
            again, and those that are read are added.
    """
    from dynvision.experiments.stores.recorded import RecordedStore

    files = read_store_record(path).check_files(path)
    store = RecordedStore(files)
    with warnings.catch_warnings():
        # pending.json lies in the store on purpose and is no Zarr object.
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        # Not `open_groups`: it gives variables of the same name in two groups the same values (xarray 2026.9).
        tree = xarray.open_datatree(store, engine="zarr", chunks={}, consolidated=True)  # type: ignore[arg-type]
    root = _load_coordinates(tree.to_dataset(), "", files, known)
    nodes = {
        name: _load_coordinates(node.to_dataset(inherit=False), f"{name}/", files, known)
        for name, node in tree.children.items()
    }
    coordinates = {name: root.coords[name] for name in root.coords if "class" not in root[name].dims}
    # Sums over half-precision values overflow: read float32, whatever is stored.
    layers = {name: _widen(nodes[name]).assign_coords(coordinates) for name in root.attrs["layers"]}
    of_condition = ("shown", "contrast_shown")
    common = {name: values for name, values in coordinates.items() if name not in of_condition}
    layers |= {name: nodes[name].assign_coords(common) for name in REFERENCES if name in nodes}
    return {"": root, **layers}


def _load_coordinates(
    dataset: xarray.Dataset, group: str, files: CheckedFiles, known: KnownCoordinates
) -> xarray.Dataset:
    """Read the coordinates of a group into memory; texts become Python's own, which every library knows.

    Args:
        dataset: The group.
        group: The beginning of its files' names.
        files: The files of the store.
        known: The coordinates that were read before.
    """
    coordinates = {}
    for name in dataset.coords:
        if name in dataset.indexes:
            continue  # xarray has read it already.
        folder = f"{group}{name}/"
        key = (str(name), *(digest for file, digest in files.digests.items() if file.startswith(folder)))
        if key not in known:
            variable = dataset[name].variable.compute(scheduler="synchronous")
            known[key] = variable if variable.dtype.kind != "T" else variable.astype(object)
        coordinates[name] = known[key]
    return dataset.assign_coords(coordinates)


def _widen(dataset: xarray.Dataset) -> xarray.Dataset:
    half = [name for name, variable in dataset.data_vars.items() if variable.dtype == "float16"]
    return dataset.assign({name: dataset[name].astype("float32") for name in half})
