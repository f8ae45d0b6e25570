"""Pictures: contact sheets of images, time courses of responses, tuning curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dynvision.analysis.measures import OUTPUT
from dynvision.data.schedule import VOID, Presentation

__all__ = [
    "draw_condition",
    "draw_contact_sheet",
    "draw_presentation",
    "draw_time_courses",
    "draw_training",
    "draw_tuning",
    "save_figure",
]

COLORS = "viridis"


def save_figure(figure: Figure, path: Path) -> Path:
    """Save a figure as PNG, whole or not at all."""
    import io

    from dynvision.files import write_bytes

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    write_bytes(path, buffer.getvalue())
    return path


def draw_contact_sheet(rows: Sequence[tuple[str, Sequence[Any]]], title: str) -> Figure:
    """A few images of each class, one row a class.

    Args:
        rows: The class's name and its images, `[H, W]` or `[H, W, 3]`, uint8.
        title: What the sheet shows.
    """
    columns = max(1, *(len(images) for _, images in rows))
    figure = Figure(figsize=(0.9 * columns + 1.2, 0.85 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes_row, (name, images) in zip(grid, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, image in zip(axes_row, images, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes_row[0].set_title(name, fontsize=7, loc="left", pad=2)
    figure.suptitle(title, fontsize=9)
    return figure


def draw_presentation(presentation: Presentation, dt: float | None = None) -> Figure:
    """Contrast over time, one colour for each image of the trial.

    Args:
        presentation: What is shown when.
        dt: Milliseconds a step, for the axis; by default it is in steps.
    """
    figure = Figure(figsize=(6.4, 1.6), layout="constrained")
    axes = figure.subplots()
    scale = 1.0 if dt is None else dt
    edges = np.arange(presentation.n_timesteps + 1) * scale
    for index in range(presentation.n_images):
        shown = np.where(presentation.frames == index, presentation.contrasts, 0.0)
        axes.stairs(shown, edges, fill=True, color=f"C{index}", label=f"image {index}")
    axes.set(xlabel="time step" if dt is None else "time (ms)", ylabel="contrast", ylim=(0, 1.05), xlim=edges[[0, -1]])
    if presentation.n_images > 1:
        axes.legend(fontsize=7, frameon=False)
    return figure


def draw_training(loss: Sequence[float], val_accuracy: Sequence[float], title: str) -> Figure:
    """Training loss and validation accuracy over epochs."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(loss) + 1)
    left.plot(epochs, loss, "o-", color="tab:red", markersize=3)
    left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, None))
    right.plot(epochs, val_accuracy, "o-", color="tab:blue", markersize=3)
    right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1.02))
    figure.suptitle(title, fontsize=9)
    return figure


def draw_condition(mean_response: dict[str, Sequence[float]], accuracy: Sequence[float], title: str) -> Figure:
    """One condition: each layer's mean response over time, relative to its maximum, and accuracy."""
    figure = Figure(figsize=(7.6, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, values in mean_response.items():
        left.plot(np.asarray(values) / max(np.abs(values).max(), 1e-12), label=name, lw=1.4)
    left.set(xlabel="time step", ylabel="mean response / its maximum")
    left.legend(fontsize=7, frameon=False)
    right.plot(accuracy, color="tab:blue", lw=1.4)
    right.set(xlabel="time step", ylabel="accuracy", ylim=(0, 1.02))
    figure.suptitle(title, fontsize=9)
    return figure


def draw_time_courses(table: pd.DataFrame, parameters: Sequence[str], presentations: dict[str, Presentation]) -> Figure:
    """Mean response over time for each layer, and accuracy, one line a condition.

    Bars under the time axis show when the stimulus is there in each condition.

    Args:
        table: The tidy table of `measure_tuning`.
        parameters: The swept parameters; the first one gives the colour, the second the line style.
        presentations: What was shown in each condition.
    """
    import matplotlib as mpl

    layers = [name for name in table["layer"].unique() if name != OUTPUT]
    panels = [(layer, "mean", f"{layer}: mean response") for layer in layers] + [(OUTPUT, "accuracy", "accuracy")]
    columns = min(3, len(panels))
    figure = Figure(figsize=(4.2 * columns, 3.0 * -(-len(panels) // columns)), layout="constrained")
    grid = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
    conditions = table.drop_duplicates("condition").set_index("condition")
    levels = list(dict.fromkeys(conditions[parameters[0]]))
    colors = mpl.colormaps[COLORS](np.linspace(0.05, 0.92, len(levels)))
    styles = ["-", "--", ":", "-."]
    second = list(dict.fromkeys(conditions[parameters[1]])) if len(parameters) > 1 else [None]
    for axes, (layer, measure, label) in zip(grid, panels, strict=False):
        part = table[(table["layer"] == layer) & (table["measure"] == measure)]
        for condition, rows in part.groupby("condition", sort=False):
            level = rows[parameters[0]].iloc[0]
            style = styles[second.index(rows[parameters[1]].iloc[0]) % 4] if len(parameters) > 1 else "-"
            name = str(condition).replace(",", ", ").replace("=", " ")
            axes.plot(rows["time"], rows["value"], style, color=colors[levels.index(level)], lw=1.4, label=name)
        axes.set(xlabel="time step", ylabel=label)
        if measure == "accuracy":
            axes.set_ylim(0, 1.02)
        _draw_presentations(
            axes,
            [presentations[c] for c in conditions.index],
            [colors[levels.index(v)] for v in conditions[parameters[0]]],
        )
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles, names = grid[0].get_legend_handles_labels()
    if len(names) <= 16:
        figure.legend(handles, names, loc="outside right upper", fontsize=7, frameon=False)
    return figure


def draw_tuning(tuning: pd.DataFrame, parameters: Sequence[str]) -> Figure:
    """Accuracy and peak response of each layer against the swept parameter.

    Error bars are the standard error over trials, the dotted line is chance. Layers whose mean is
    not a rate (class scores, below zero) have no peak to compare and are left out. With two
    parameters, the second one has a line for each level.
    """
    peaks = [name for name in tuning.columns if name.startswith("peak/") and (tuning[name] > 0).all()]
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x = parameters[0]
    groups = [(None, tuning)] if len(parameters) == 1 else list(tuning.groupby(parameters[1], sort=False))
    import matplotlib as mpl

    colors = mpl.colormaps[COLORS](np.linspace(0.1, 0.85, len(groups)))
    for (level, rows), color in zip(groups, colors, strict=True):
        label = None if level is None else f"{parameters[1]} {level!s}"
        left.errorbar(
            rows[x], rows["accuracy"], rows["accuracy_sem"], fmt="o-", color=color, ms=4, capsize=2, label=label
        )
    left.axhline(tuning["chance"].iloc[0], color="gray", ls=":", lw=1)
    left.annotate(
        "chance",
        (0.99, tuning["chance"].iloc[0]),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color="gray",
    )
    left.set(xlabel=x, ylabel="accuracy", ylim=(0, 1.03))
    last = groups[-1][1]
    for peak in peaks:
        values = last[peak] / last[peak].abs().max()
        right.plot(last[x], values, "o-", ms=4, label=peak.removeprefix("peak/"))
    suffix = "" if len(parameters) == 1 else f" at {parameters[1]} {groups[-1][0]!s}"
    right.set(xlabel=x, ylabel=f"peak mean response / its maximum{suffix}")
    right.axhline(0, color="gray", lw=0.5)
    right.legend(fontsize=7, frameon=False)
    if len(parameters) > 1:
        left.legend(fontsize=7, frameon=False)
    return figure


def _draw_presentations(axes: Any, presentations: Sequence[Presentation], colors: Sequence[Any]) -> None:
    distinct: dict[tuple[int, ...], list[Any]] = {}
    for presentation, color in zip(presentations, colors, strict=True):
        distinct.setdefault(tuple(presentation.frames.tolist()), []).append(color)
    height = 0.025
    for row, (frames, shared) in enumerate(distinct.items()):
        color = "0.35" if len(shared) > 1 and len(distinct) == 1 else shared[0]
        shown = np.asarray(frames) != VOID
        starts = np.flatnonzero(np.diff(np.concatenate([[0], shown.astype(int)])) == 1)
        ends = np.flatnonzero(np.diff(np.concatenate([shown.astype(int), [0]])) == -1)
        for start, end in zip(starts, ends, strict=True):
            bottom = -0.04 - height * row if len(distinct) == 1 else 0.0 + height * row
            axes.axvspan(start - 0.5, end + 0.5, bottom, bottom + height * 0.8, color=color, clip_on=False, lw=0)
