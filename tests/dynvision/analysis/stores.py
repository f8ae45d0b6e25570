"""Stores of responses as they lie on disk, written with xarray alone, and a network's responses that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray

from dynvision.experiments.store import RECORD
from dynvision.system.files import write_json

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
) -> Path:
    """Write a store of responses.

    Args:
        path: Where.
        layers: Each layer's variables, with their dimensions.
        scores: Class scores `[N, T, outputs]`.
        labels: The trials' labels.
        classes: The class of each output.
        dt: Milliseconds a step.
        rows: Samples in a chunk.
        image_labels: The class of each image of a trial, `[N, K]`.
    """
    coordinates: dict[str, Any] = {"label": ("sample", labels), "class": ("class", np.asarray(classes))}
    if dt is not None:
        coordinates["time_ms"] = ("time", np.arange(scores.shape[1]) * dt)
    if image_labels is not None:
        coordinates["image_label"] = (("sample", "image"), image_labels)
    attributes = {"layers": list(layers), "group_classes": sorted({int(label) for label in np.ravel(labels)})}
    root = xarray.Dataset({"scores": (("sample", "time", "class"), scores)}, coordinates, attributes)
    nodes = {"/": root, **{f"/{name}": xarray.Dataset(dict(variables)) for name, variables in layers.items()}}
    encoding = {
        group: {str(name): {"chunks": (min(rows, v.shape[0]), *v.shape[1:])} for name, v in node.data_vars.items()}
        for group, node in nodes.items()
    }
    xarray.DataTree.from_dict(nodes).to_zarr(path, zarr_format=3, consolidated=False, encoding=encoding)
    write_json(path / RECORD, {})
    return path


def leaky_response(drive: np.ndarray, alpha: float = 0.25) -> np.ndarray:
    """The response of a leaky integrator to a drive over time: ``x ← x + α (drive − x)``; shape `[T]`."""
    value, values = 0.0, []
    for step in drive:
        value += alpha * (step - value)
        values.append(value)
    return np.array(values)
