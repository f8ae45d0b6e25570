"""Figures of single targets: contact sheets of images, training, kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dynvision.analysis.figures.style import BLUE, VERMILION
from dynvision.system.escaping import escape_mathtext

__all__ = [
    "draw_contact_sheet",
    "draw_kernels",
    "draw_training",
]

_LONGEST = 60
"""The most characters of a name; a longer one would leave no room for what is drawn."""


def draw_contact_sheet(rows: Sequence[tuple[str, Sequence[Any]]], title: str) -> Figure:
    """Draw a few images of each class, one row for each class.

    Args:
        rows: The class's name and its images, `[H, W]` or `[H, W, 3]`, uint8.
        title: The title of the figure.
    """
    columns = max(1, *(len(images) for _, images in rows))
    figure = Figure(figsize=(0.9 * columns + 1.2, 0.85 * len(rows) + 0.4), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes_row, (name, images) in zip(grid, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, image in zip(axes_row, images, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes_row[0].set_title(escape_mathtext(name, _LONGEST), fontsize=7, loc="left", pad=2)
    figure.suptitle(escape_mathtext(title, 100), fontsize=9)
    return figure


def draw_training(loss: Sequence[float], val_accuracy: Sequence[float], title: str) -> Figure:
    """Draw training loss (nats) and validation accuracy (0 to 1), each with one value for each epoch."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, len(loss) + 1)
    left.plot(epochs, loss, "o-", color=VERMILION, markersize=3)
    left.set(xlabel="epoch", ylabel="training loss (nats)", ylim=(0, None))
    right.plot(epochs, val_accuracy, "s-", color=BLUE, markersize=3)
    right.set(xlabel="epoch", ylabel="validation accuracy", ylim=(0, 1.02))
    figure.suptitle(escape_mathtext(title, 100), fontsize=9)
    return figure


def draw_kernels(kernels: Any, title: str) -> Figure:
    """Draw the first 32 kernels of a convolution, each scaled to its own range.

    Args:
        kernels: Shape `[C_out, C_in, k, k]`; three input channels are drawn as colour, others as their mean.
        title: The title of the figure.
    """
    shown = kernels[:32].astype(np.float64)
    columns = min(8, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(0.8 * columns + 0.4, 0.8 * rows + 0.4), layout="constrained")
    for axes, kernel in zip(figure.subplots(rows, columns, squeeze=False).ravel(), shown, strict=False):
        low, high = kernel.min(), kernel.max()
        scaled = (kernel - low) / (high - low or 1.0)
        image = scaled.transpose(1, 2, 0) if len(kernel) == 3 else scaled.mean(axis=0)
        axes.imshow(image, cmap="gray", interpolation="nearest")
    for axes in figure.axes:
        axes.set_axis_off()
    figure.suptitle(escape_mathtext(title, 100), fontsize=9)
    return figure
