"""The responses of the small chain: where they lie, how often they were made, and a run of one asset alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import zarr

from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace
from tests.helpers.instances import open_instance

CONTRAST = ("responses", "contrast", "rcnn_gratings")
CHECKS = {
    ("raw", "gratings"): "classes_hold_the_images_that_were_counted",
    ("interim", "gratings"): "every_link_resolves",
    ("processed", "gratings"): "image_files_are_as_they_were_written",
    ("models", "rcnn", "gratings"): "weights_are_finite",
    CONTRAST: "responses_are_complete_and_finite",
    ("summary", "contrast", "rcnn_gratings"): "every_condition_is_measured",
}


def store(root: Path, level: str) -> Path:
    return root / f"data/responses/contrast/rcnn_gratings/contrast={level}.zarr"


def inodes(root: Path, *levels: str) -> dict[str, int]:
    return {level: store(root, level).stat().st_ino for level in levels}


def run_count(root: Path) -> int:
    with open_instance(root) as instance:
        return instance.get_runs_count()


def materialize(root: Path, target: str) -> Callable[[], Any]:
    """Run one asset's partition directly, as a click in the UI would: nothing upstream is made."""
    workspace = open_workspace(root)
    name, _, partition = target.partition(":")
    key = dg.AssetKey(name.split("/"))
    job = make_definitions(workspace).resolve_implicit_global_asset_job_def()

    def run() -> Any:
        (root / ".dagster").mkdir(exist_ok=True)
        with open_instance(root) as instance:
            return job.execute_in_process(asset_selection=[key], partition_key=partition or None, instance=instance)

    return run


CONTRASTS = [0.1, 0.5, 0.8, 1.0]


def stored(root: Path, experiment: str, condition: str, name: str) -> np.ndarray:
    """An array as it lies in a store, read by Zarr alone."""
    group = zarr.open_group(root / f"data/responses/{experiment}/rcnn_gratings/{condition}.zarr", mode="r")
    return np.asarray(group[name][:])
