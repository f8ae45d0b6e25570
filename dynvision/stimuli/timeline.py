"""A trial's timeline: its stretches, its named windows, and its pictures as text and as a figure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dynvision.errors import unknown_name
from dynvision.stimuli.noise import Noise
from dynvision.stimuli.segments import VOID

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["describe_timeline", "draw_presentation", "find_late_steps", "find_showings", "find_window"]

_Frames = npt.NDArray[np.int64]
_Contrasts = npt.NDArray[np.float64]


def find_showings(frames: _Frames) -> tuple[tuple[int, int, int], ...]:
    """Find the stretches in which one image is shown.

    Args:
        frames: Which image is shown at each step, `VOID` for none: shape `[T]`.

    Returns:
        `(start, stop, frame)` of each stretch, in steps, from first to last.
    """
    changes = np.flatnonzero(np.diff(frames)) + 1
    edges = itertools.pairwise([0, *changes.tolist(), len(frames)])
    return tuple((start, stop, int(frames[start])) for start, stop in edges if frames[start] != VOID)


def find_window(frames: _Frames, name: str | Sequence[int], image: int | None = None) -> slice:
    """Find the steps of a named window.

    Args:
        frames: Which image is shown at each step, `VOID` for none: shape `[T]`.
        name: `stimulus` (first to last shown step), `late` (the last third of the last showing, without the gap
            before it), `outro` (after the stimulus), `all`, or `[start, stop]` in steps.
        image: The image of the trial that `stimulus` and `late` refer to; by default all of them.

    Raises:
        UnknownNameError: If no window has this name.
        ValueError: If the window is empty or ends after the trial.
    """
    if not isinstance(name, str):
        start, stop = name
        if stop > len(frames):
            raise ValueError(f"the window {list(name)} ends after the last of {len(frames)} steps")
        return slice(start, stop)
    shown = np.flatnonzero(frames != VOID if image is None else frames == image)
    first, last = (int(shown[0]), int(shown[-1]) + 1) if len(shown) else (0, len(frames))
    gaps = np.flatnonzero(np.diff(shown) > 1)
    onset = int(shown[gaps[-1] + 1]) if len(gaps) else first
    windows = {
        "stimulus": slice(first, last),
        "late": find_late_steps(onset, last),
        "outro": slice(last, len(frames)),
        "all": slice(0, len(frames)),
    }
    if name not in windows:
        raise unknown_name("window", name, windows)
    if windows[name].start == windows[name].stop:
        raise ValueError(f"the window '{name}' is empty: the stimulus lasts until the end. Choose another window.")
    return windows[name]


def find_late_steps(onset: int, stop: int) -> slice:
    """Return the last third of a showing from `onset` up to but without `stop`, rounded up to whole steps."""
    return slice(stop - math.ceil((stop - onset) / 3), stop)


def describe_timeline(
    frames: _Frames,
    contrasts: _Contrasts,
    noises: Sequence[Noise | None],
    sensor_noise: float = 0.0,
    dt: float | None = None,
) -> str:
    """Draw a timeline as text, one character a step.

    The first line has the number of the image shown, `·` for void. The second has its contrast in tenths, `X` for full
    contrast. If images are noisy, a third line has their share of signal (`ssnr`) in the same way.

    Args:
        frames: Which image is shown at each step, `VOID` for none: shape `[T]`.
        contrasts: The contrast at each step, in [0, 1]: shape `[T]`.
        noises: The noise in the image at each step: T entries.
        sensor_noise: Standard deviation of the noise that is added to every frame.
        dt: Milliseconds a step, if they are known.
    """
    images = "".join("·" if frame == VOID else str(frame % 10) for frame in frames)
    tenths = "".join("·" if f == VOID else _tenth(c) for f, c in zip(frames, contrasts, strict=True))
    ruler = "".join(f"{t:<10d}" for t in range(0, len(frames), 10))
    lines = [f"step      {ruler.rstrip()}", f"image     {images}", f"contrast  {tenths}"]
    if dt is not None:
        lines[0] += f"  ({dt:g} ms each, {len(frames) * dt:g} ms in all)"
    different = list(dict.fromkeys(n for n in noises if n is not None))
    if different:
        lines.append("ssnr      " + "".join("·" if n is None else _tenth(n.ssnr) for n in noises))
        lines += [f"{n.temporal} {n.kind} noise in the image, ssnr {n.ssnr:g}" for n in different]
    if sensor_noise:
        lines.append(f"sensor noise of standard deviation {sensor_noise:g} at every step")
    return "\n".join(lines)


def draw_presentation(frames: _Frames, contrasts: _Contrasts, dt: float | None = None, zero: int = 0) -> Figure:
    """Draw contrast over time, with one colour for each image of the trial.

    Args:
        frames: Which image is shown at each step, `VOID` for none: shape `[T]`.
        contrasts: The contrast at each step, in [0, 1]: shape `[T]`.
        dt: Milliseconds a step, for the axis; by default the axis is in steps.
        zero: The step at whose start time is 0.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.6), layout="constrained")
    axes = figure.subplots()
    edges = (np.arange(len(frames) + 1) - zero) * (1.0 if dt is None else dt)
    n_images = max(1, int(frames.max()) + 1)
    for index in range(n_images):
        shown = np.where(frames == index, contrasts, 0.0)
        axes.stairs(shown, edges, fill=True, color=f"C{index}", label=f"image {index}")
    axes.set(
        xlabel=f"time from onset ({'steps' if dt is None else 'ms'})",
        ylabel="contrast",
        ylim=(0, 1.05),
        xlim=edges[[0, -1]],
    )
    if n_images > 1:
        axes.legend(fontsize=7, frameon=False)
    return figure


def _tenth(share: float) -> str:
    return "X" if share >= 0.95 else str(int(share * 10 + 0.5))
