"""A picture of each target, for people who look at the graph."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynvision.records import Record
from dynvision.stages.summary import SummaryStage
from dynvision.targets import Target
from dynvision.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_target", "encode_png"]

CLASSES_SHOWN = 10
IMAGES_SHOWN = 8


def draw_target(workspace: Workspace, target: Target, record: Record) -> dict[str, bytes]:
    """Draw what a target holds.

    Args:
        workspace: The workspace.
        target: The target.
        record: Its record.

    Returns:
        PNG images by title.
    """
    from dynvision.analysis.figures import targets as figures

    details = record.details
    if target.stage in ("raw", "interim", "processed"):
        sheet = figures.draw_contact_sheet(_pick_images(workspace, target, details["classes"]), str(target))
        return {"contact_sheet": encode_png(sheet)}
    if target.stage == "models":
        if "loss" not in details:
            weights = workspace.stage(target).output(target) / "trained.safetensors"
            return {"first_layer": encode_png(figures.draw_kernels(_first_kernels(weights), str(target)))}
        training = figures.draw_training(details["loss"], details["val_accuracy"], str(target))
        return {"training": encode_png(training)}
    if target.stage == "responses":
        course = figures.draw_condition(details["mean_response"], details["accuracy_over_time"], str(target))
        return {"time_course": encode_png(course)}
    stage = workspace.stages["summary"]
    assert isinstance(stage, SummaryStage)
    return {name: _shrink(stage.output(target) / f"{name}.png") for name in stage.pictures(target)}


def encode_png(figure: Figure, dpi: int = 80) -> bytes:
    """The bytes of a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return buffer.getvalue()


def _first_kernels(weights: Path) -> Any:
    """The kernels of the first convolution, `[C_out, C_in, k, k]`; else the first matrix, as one picture."""
    from safetensors.numpy import load_file

    arrays = [value for value in load_file(weights).values() if value.ndim in (2, 4)]
    kernels = next((value for value in arrays if value.ndim == 4), None)
    return kernels if kernels is not None else arrays[0][None, None] if arrays else np.zeros((1, 1, 1, 1))


def _shrink(path: Path) -> bytes:
    """A picture for the screen: half as wide, in 255 colours."""
    from PIL import Image

    with Image.open(path) as image:
        half = image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    half.quantize(255).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _pick_images(workspace: Workspace, target: Target, classes: list[dict[str, Any]]) -> list[tuple[str, list[Any]]]:
    from PIL import Image

    from dynvision.data.images.files import list_images

    stage = "interim" if target.stage == "processed" else target.stage
    place = Target((stage, target.key[1]), target.partition)
    folder: Path = workspace.stages[stage].output(place)
    rows = []
    for entry in classes[:CLASSES_SHOWN]:
        names = list_images(folder / entry["folder"])[:IMAGES_SHOWN]
        images = []
        for name in names:
            # An unreadable image is the business of the checks; here it is only a gap.
            with contextlib.suppress(OSError, ValueError), Image.open(folder / entry["folder"] / name) as image:
                image.thumbnail((96, 96))
                images.append(np.asarray(image.convert("RGB")))
        rows.append((f"{entry['index']}  {entry['name']}", images))
    return rows
