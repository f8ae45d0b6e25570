"""Responses to export: known numbers in several layers and conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py  # noqa: F401  # it starts `uname` when it is imported, which a fast test may not
import numpy as np
import xarray

from dynvision.experiments.reading import combine_conditions
from dynvision.exports.formats import write_export
from tests.helpers.stores import CHANNEL, SPATIAL, write_store

N, T, LEVELS = 5, 4, [0.25, 1.0]
LABELS = np.array([0, 1, 2, 0, 1])
NAMES = {0: "cat", 1: "dog", 2: "häuschen"}
TARGET = "responses/contrast/rcnn_gratings"
CONDITIONS = [{"contrast": level} for level in LEVELS]


def draw_layers(level: float) -> dict[str, Any]:
    """Each layer's variables: one of means of channels, one of units over space, one without space."""
    rng = np.random.default_rng(int(level * 100))
    return {
        "V1": {"mean": (CHANNEL, rng.random((N, T, 3), np.float32)), "std": (CHANNEL, rng.random((N, T, 3)))},
        "V2.0": {"response": (SPATIAL, rng.random((N, T, 2, 3, 4), np.float32))},
        "classifier": {"response": (CHANNEL, rng.random((N, T, 3), np.float32))},
    }


def make_responses(folder: Path, *, dt: float | None = 5.0, **settings: Any) -> xarray.DataTree:
    """Write a store for each level, and open them together."""
    stores = []
    for level in LEVELS:
        scores = np.random.default_rng(1).random((N, T, 3), np.float32)
        path = folder / f"contrast={level}.zarr"
        if not path.exists():
            write_store(
                path, draw_layers(level), scores, LABELS, [0, 1, 2], dt=dt, rows=2, time=np.arange(T), **settings
            )
        stores.append(({"contrast": level}, path))
    return combine_conditions(stores, {"contrast": LEVELS}, class_names=NAMES)


def export(tree: xarray.DataTree, path: Path, form: str = "netcdf", **settings: Any) -> Path:
    """Export responses to a file."""
    settings = {"conditions": CONDITIONS, "attributes": {}, **settings}
    return write_export(tree, path, form, TARGET, **settings)
