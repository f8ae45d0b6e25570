"""Stores of known responses: written as an experiment writes them, or with xarray alone; and such responses."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray

from dynvision.experiments.reducing import TRAILING
from dynvision.experiments.stores.journal import BatchEntry
from dynvision.experiments.stores.layout import ArraySpec, StoreLayout
from dynvision.experiments.stores.store import RECORD, consolidate_store, digest_block, partial_path, verify_store
from dynvision.experiments.stores.writer import StoreWriter, write_skeleton
from dynvision.records import make_record
from dynvision.stages.recorded import records as response_records
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import write_json
from tests.helpers.files import flip_byte


def layout_of(arrays: dict[str, np.ndarray], batch_size: int, block_steps: int | None = None) -> StoreLayout:
    """The layout of arrays `[N, T, …]`."""
    specs = {}
    for name, value in arrays.items():
        trailing = value.shape[2:]
        dims = ("class",) if name == "scores" else TRAILING[len(trailing)]
        specs[name] = ArraySpec(trailing, dims, value.dtype.name)
    n_samples, n_timesteps = next(iter(arrays.values())).shape[:2]
    return StoreLayout(specs, n_samples, n_timesteps, batch_size, block_steps or n_timesteps)


def open_writer(store: Path, layout: StoreLayout, header: dict[str, Any] | None = None, **changes: Any) -> StoreWriter:
    """Open a writer; `changes` are its coordinates, attributes and other arguments."""
    settings: dict[str, Any] = {"coordinates": {}, "attributes": {}, **changes}
    with TemporaryDirectory() as skeleton:
        write_skeleton(Path(skeleton), layout, settings.pop("layer_coordinates", {}))
        return StoreWriter(store, layout, skeleton=Path(skeleton), header=header or {}, **settings)


def write_batches(writer: StoreWriter, arrays: dict[str, np.ndarray], stop: int | None = None) -> None:
    """Write the missing batches, up to the batch `stop`."""
    layout = writer.layout
    for batch in range(writer.batches_done, layout.n_batches if stop is None else stop):
        rows = slice(batch * layout.batch_size, (batch + 1) * layout.batch_size)
        digests: dict[str, list[str]] = {name: [] for name in arrays}
        for start in range(0, layout.n_timesteps, layout.block_steps):
            block = {name: value[rows, start : start + layout.block_steps] for name, value in arrays.items()}
            for write in writer.write(batch, start, block):
                write.result()
            for name, value in block.items():
                digests[name].append(digest_block(value))
        writer.note_batch(BatchEntry(digests, {}))


def seal_store(folder: Path, target: str = "responses/e/s:c") -> None:
    """Write the record that makes a store whole."""
    record = make_record(
        target,
        code_version="1",
        config={},
        inputs={},
        content="",
        details={},
        files=digest_files(folder, list_files(folder, [RECORD])),
    )
    write_json(folder / RECORD, record.to_dict())


def damage_before_verifying(monkeypatch: pytest.MonkeyPatch, array: str) -> None:
    """Flip a byte in each recorded store just before it is read back.

    Args:
        monkeypatch: Undoes it after the test.
        array: The damaged array, as `<layer>/<variable>`.
    """

    def damage_and_verify(folder: Path) -> dict[str, Any]:
        chunk = next(path for path in (folder / array / "c").rglob("*") if path.is_file())
        flip_byte(chunk, chunk.stat().st_size // 2)
        return verify_store(folder)

    monkeypatch.setattr(response_records, "verify_store", damage_and_verify)


def write_responses(
    store: Path,
    arrays: dict[str, np.ndarray],
    batch_size: int = 4,
    target: str = "responses/e/s:c",
    **settings: Any,
) -> Path:
    """Write a store and rename it to its final path."""
    layout = layout_of(arrays, batch_size)
    settings.setdefault("attributes", {})
    settings["attributes"] = {"layers": layout.layers, **settings["attributes"]}
    writer = open_writer(store, layout, **settings)
    write_batches(writer, arrays)
    writer.finish({}, allow_nonfinite=True)
    consolidate_store(partial_path(store))
    seal_store(partial_path(store), target)
    os.rename(partial_path(store), store)
    return store


SPATIAL = ("sample", "time", "channel", "y", "x")
CHANNEL = ("sample", "time", "channel")
TOKEN = ("sample", "time", "channel", "token")
UNIT = ("sample", "time", "unit")
WHOLE = ("sample", "time")

Layer = Mapping[str, tuple[Sequence[str], np.ndarray]]


def write_store(
    path: Path,
    layers: Mapping[str, Layer],
    scores: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[int],
    *,
    dt: float | None = None,
    rows: int = 4,
    image_labels: np.ndarray | None = None,
    references: Mapping[str, Mapping[str, np.ndarray]] | None = None,
    time: np.ndarray | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a store of responses.

    Args:
        path: The store.
        layers: Each layer's variables, with their dimensions.
        scores: Class scores `[N, T, outputs]`.
        labels: The trials' labels.
        classes: The class of each output.
        dt: Milliseconds a step.
        rows: Samples in a chunk.
        image_labels: The class of each image of a trial, `[N, K]`.
        references: The runs that the condition is compared with, each with the means of every layer, `[N, T]`; by
            default they are 0.
        time: The time of each step's end, `[T]`.
        columns: Columns of the table of a stimulus set, each `[N]`.
        attributes: More attributes.
    """
    silent = {name: np.zeros(scores.shape[:2]) for name in layers}
    references = references or {"rest": silent, "single": silent}
    coordinates: dict[str, Any] = {"label": ("sample", labels), "class": ("class", np.asarray(classes))}
    if time is not None:
        coordinates |= {"time": ("time", time), "step": ("time", np.arange(scores.shape[1]))}
    if dt is not None:
        coordinates["time_ms"] = ("time", (np.arange(scores.shape[1]) + 1 if time is None else time) * dt)
    if image_labels is not None:
        coordinates["image_label"] = (("sample", "image"), image_labels)
    coordinates |= {name: ("sample", values) for name, values in (columns or {}).items()}
    group = sorted({int(label) for label in np.ravel(labels)})
    attributes = {"layers": list(layers), "group_classes": group, **(attributes or {})}
    root = xarray.Dataset({"scores": (("sample", "time", "class"), scores)}, coordinates, attributes)
    nodes = {"/": root, **{f"/{name}": xarray.Dataset(dict(variables)) for name, variables in layers.items()}}
    nodes |= {
        f"/{run}": xarray.Dataset({name: (WHOLE, means) for name, means in of_run.items()})
        for run, of_run in references.items()
    }
    encoding = {
        group: {str(name): {"chunks": (min(rows, v.shape[0]), *v.shape[1:])} for name, v in node.data_vars.items()}
        for group, node in nodes.items()
    }
    xarray.DataTree.from_dict(nodes).to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
    consolidate_store(path)
    seal_store(path)
    return path


def leaky_response(drive: np.ndarray, alpha: float = 0.25) -> np.ndarray:
    """Return the response of a leaky integrator to a drive over time: ``x ← x + α (drive − x)``; shape `[T]`."""
    value, values = 0.0, []
    for step in drive:
        value += alpha * (step - value)
        values.append(value)
    return np.array(values)
