"""A presentation's timeline for people: drawn as text, and its stretches by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynvision.errors import unknown_name
from dynvision.stimuli.segments import VOID

if TYPE_CHECKING:
    from dynvision.stimuli.presentation import Presentation

__all__ = ["describe_timeline", "find_window"]


def describe_timeline(show: Presentation) -> str:
    """Draw the timeline as text: a sign a step, `·` for void, else the number of the image shown.

    The second line is contrast in tenths, `X` for full contrast; where images are noisy, another line
    gives their share of signal (`ssnr`) in the same way.
    """
    shown = "".join("·" if frame == VOID else str(frame % 10) for frame in show.frames)
    contrast = "".join("·" if f == VOID else _tenth(c) for f, c in zip(show.frames, show.contrasts, strict=True))
    ruler = "".join(f"{t:<10d}" for t in range(0, show.n_timesteps, 10))
    lines = [f"step      {ruler.rstrip()}", f"image     {shown}", f"contrast  {contrast}"]
    if show.dt is not None:
        lines[0] += f"  ({show.dt:g} ms each, {show.n_timesteps * show.dt:g} ms in all)"
    noises = list(dict.fromkeys(n for n in show.noises if n is not None))
    if noises:
        lines.append("ssnr      " + "".join("·" if n is None else _tenth(n.ssnr) for n in show.noises))
        lines += [f"{n.temporal} {n.kind} noise in the image, ssnr {n.ssnr:g}" for n in noises]
    if show.sensor_noise:
        lines.append(f"sensor noise of standard deviation {show.sensor_noise:g} at every step")
    return "\n".join(lines)


def find_window(show: Presentation, name: str | Sequence[int], image: int | None = None) -> slice:
    """The steps of a named window.

    Args:
        show: The presentation.
        image: The image of the trial that `stimulus` and `late` are about; `None` for all of them.
        name: `stimulus` (first to last shown step), `late` (the last third of the last showing, without the gap
            before it), `outro` (after the stimulus), `all`, or `[start, stop]` in steps.
    """
    if not isinstance(name, str):
        start, stop = name
        if stop > show.n_timesteps:
            raise ValueError(f"the window {list(name)} ends after the last of {show.n_timesteps} steps")
        return slice(start, stop)
    shown = np.flatnonzero(show.frames != VOID if image is None else show.frames == image)
    first, last = (int(shown[0]), int(shown[-1]) + 1) if len(shown) else (0, show.n_timesteps)
    gaps = np.flatnonzero(np.diff(shown) > 1)
    onset = int(shown[gaps[-1] + 1]) if len(gaps) else first
    windows = {
        "stimulus": slice(first, last),
        "late": slice(last - math.ceil((last - onset) / 3), last),
        "outro": slice(last, show.n_timesteps),
        "all": slice(0, show.n_timesteps),
    }
    if name not in windows:
        raise unknown_name("window", name, windows)
    if windows[name].start == windows[name].stop:
        raise ValueError(f"the window '{name}' is empty: the stimulus lasts until the end. Choose another window.")
    return windows[name]


def _tenth(share: float) -> str:
    return "X" if share >= 0.95 else str(int(share * 10 + 0.5))
